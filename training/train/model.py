"""The model: raw numbers and category slots in, log-odds out, with all preparation inside.

Imputation, scaling and the numbers' bends are buffers, so that what was learnt from the training split
travels with the weights into the exported graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from contract.schema import Training
from training.train.encoding import Encoding, Number

FAR = 6.0
"""Scaled numbers are cut off this many standard deviations from the mean: wild values do not run away."""


class Tabular(nn.Module):
    """A multilayer perceptron over prepared numbers and embedded categories.

    A hidden layer as wide as the one before it is residual: it adds to what it was given. So depth costs
    no accuracy where it brings none. Source: He et al., "Deep Residual Learning for Image Recognition",
    CVPR 2016; for tables, Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data", NeurIPS
    2021.

    The last layer starts at zero weights and the prior's log-odds, so the untrained model answers the
    prior and training moves away from it: probabilities stay calibrated to the class shares seen.
    """

    def __init__(self, encoding: Encoding, training: Training, prior: float) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        width = 0
        self.numbers = Numbers(encoding.numbers) if encoding.numbers else None
        self.categories: Categories | None = None
        if self.numbers is not None:
            width += self.numbers.width
        if encoding.categories:
            sizes = [len(category.values) + 1 for category in encoding.categories]
            self.categories = Categories(sizes, training.embedding)
            width += self.categories.width
        for depth, hidden in enumerate(training.hidden):
            layer = [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(training.dropout)]
            parts += [Residual(*layer)] if depth and hidden == width else layer
            width = hidden
        self.hidden = nn.Sequential(*parts)
        self.output = nn.Linear(width, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.constant_(self.output.bias, math.log(prior / (1 - prior)))

    @property
    def columns(self) -> int:
        """Return how many features the model takes, numbers and categories together."""
        numbers = 0 if self.numbers is None else len(self.numbers.median)
        return numbers + (0 if self.categories is None else len(self.categories.offsets))

    def layers(self) -> tuple[nn.Linear, nn.Module]:
        """Return the first linear layer, and all that comes after it as one module."""
        first, *rest = (*self.hidden, self.output)
        assert isinstance(first, nn.Linear)
        return first, nn.Sequential(*rest)

    def linears(self) -> list[str]:
        """Return the names of the hidden layers' linear modules, in order."""
        return [
            f"hidden.{name}" for name, module in self.hidden.named_modules() if isinstance(module, nn.Linear)
        ]

    def units(self) -> list[nn.Module]:
        """Return the modules that put out each hidden layer's units, in order."""
        return [module for module in self.hidden if isinstance(module, nn.ReLU | Residual)]

    def forward(self, numbers: Tensor | None, categories: Tensor | None) -> Tensor:
        """Return log-odds [N] for ``numbers`` [N, n] float32 and ``categories`` [N, c] int64 slots.

        A kind of feature that the model does not have is not looked at and may be None.
        """
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(numbers))
        if self.categories is not None:
            parts.append(self.categories(categories))
        odds: Tensor = self.output(self.hidden(torch.cat(parts, dim=1)))
        return odds.squeeze(1)


class Residual(nn.Sequential):
    """Layers whose output [N, width] is added to their input [N, width]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the input with what the layers make of it on top."""
        added = inputs
        for layer in self:
            added = layer(added)
        return inputs + added


class Numbers(nn.Module):
    """Numbers [N, n] with NaN → [N, width]: scaled, bent at quantiles, and a flag where gaps are usual.

    The bends are a piecewise linear encoding: between two neighbouring quantiles a value goes from 0 to
    1. Source: Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep
    Learning", NeurIPS 2022, section 3.2.
    """

    median: Tensor
    mean: Tensor
    std: Tensor
    gaps: Tensor
    bend_of: Tensor
    bend_start: Tensor
    bend_length: Tensor

    def __init__(self, numbers: Sequence[Number]) -> None:
        super().__init__()
        self._buffer("median", [number.median for number in numbers])
        self._buffer("mean", [number.mean for number in numbers])
        self._buffer("std", [number.std for number in numbers])
        gaps = [column for column, number in enumerate(numbers) if number.gaps]
        bends = [
            (column, low, high - low)
            for column, number in enumerate(numbers)
            for low, high in zip(number.knots, number.knots[1:], strict=False)
        ]
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.int64))
        self.register_buffer("bend_of", torch.tensor([column for column, _, _ in bends], dtype=torch.int64))
        self._buffer("bend_start", [low for _, low, _ in bends])
        self._buffer("bend_length", [length for _, _, length in bends])
        self.width = len(numbers) + len(gaps) + len(bends)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return the prepared numbers [N, width] float32."""
        missing = torch.isnan(numbers)
        filled = torch.where(missing, self.median, numbers)
        parts = [((filled - self.mean) / self.std).clamp(-FAR, FAR)]
        if len(self.gaps):
            parts.append(missing.index_select(1, self.gaps).to(torch.float32))
        if len(self.bend_of):
            bent = filled.index_select(1, self.bend_of)
            parts.append(((bent - self.bend_start) / self.bend_length).clamp(0, 1))
        return torch.cat(parts, dim=1)

    def _buffer(self, name: str, values: list[float]) -> None:
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32))


class Categories(nn.Module):
    """Slots [N, c] → embeddings [N, c · size], from one table in which every column has its own rows.

    ``sizes`` are the columns' numbers of slots. Slot 0 starts at zero, the mean of the others: a value
    that was never seen counts as no evidence.
    """

    offsets: Tensor

    def __init__(self, sizes: Sequence[int], size: int) -> None:
        super().__init__()
        offsets = [0, *accumulate(sizes)][:-1]
        self.table = nn.Embedding(sum(sizes), size)
        self.register_buffer("offsets", torch.tensor(offsets, dtype=torch.int64))
        self.width = len(sizes) * size
        nn.init.normal_(self.table.weight, std=1 / math.sqrt(size))
        with torch.no_grad():
            self.table.weight[self.offsets] = 0.0

    def forward(self, slots: Tensor) -> Tensor:
        """Return the embeddings [N, width] of ``slots`` [N, c] int64, side by side in column order."""
        embedded: Tensor = self.table(slots + self.offsets)
        return embedded.flatten(1)
