"""The model rearranged for one record: whatever is linear before the first bend becomes one multiplication.

Scaling, bends and the first layer are one matrix over values cut to [0, 1]; embeddings times the first
layer are a table of what each slot adds to it. For many records the plain order is faster: a table row
for each record and category costs more memory traffic than the small embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.train.model import FAR, Categories, Numbers, Tabular


class Folded(nn.Module):
    """Log-odds [N] from ``rows`` [N, n + c]; equal to the model's up to rounding."""

    def __init__(self, model: Tabular) -> None:
        super().__init__()
        first, self._rest = model.layers()
        self.numbers = None if model.numbers is None else _Numbers(model.numbers, first)
        self.categories = None if model.categories is None else _Categories(model.categories, first)
        self.register_buffer("bias", _bias(model.numbers, first))

    bias: Tensor

    def forward(self, rows: Tensor) -> Tensor:
        """Add up what every column gives to the first layer, and go on as the model does."""
        hidden = self.bias
        if self.numbers is not None:
            hidden = self.numbers(rows) + hidden
        if self.categories is not None:
            hidden = self.categories(rows) + hidden
        odds: Tensor = self._rest(hidden)
        return odds.squeeze(1)


class _Numbers(nn.Module):
    """What the numbers give to the first layer: one matrix over values in [0, 1]."""

    column: Tensor
    median: Tensor
    gaps: Tensor
    scale: Tensor
    shift: Tensor
    weight: Tensor

    def __init__(self, numbers: Numbers, first: nn.Linear) -> None:
        super().__init__()
        count, bends = len(numbers.median), numbers.bend_of
        column = torch.cat([torch.arange(count), bends])
        # A scaled number in [-FAR, FAR] is 2 FAR times a value in [0, 1], less FAR.
        scale = torch.cat([1 / (2 * FAR * numbers.std.double()), 1 / numbers.bend_length.double()])
        start = torch.cat([numbers.mean.double() - FAR * numbers.std.double(), numbers.bend_start.double()])
        self.register_buffer("column", column)
        self.register_buffer("median", numbers.median[column])
        self.register_buffer("gaps", numbers.gaps)
        self.register_buffer("scale", scale.float())
        self.register_buffer("shift", (-start * scale).float())
        self.register_buffer("weight", _weight(numbers, first))

    def forward(self, rows: Tensor) -> Tensor:
        """Return [N, hidden]."""
        raw = rows.index_select(1, self.column)
        missing = torch.isnan(raw)
        cut = (torch.where(missing, self.median, raw) * self.scale + self.shift).clamp(0, 1)
        if len(self.gaps):
            cut = torch.cat([cut, missing.index_select(1, self.gaps).to(torch.float32)], dim=1)
        return cut @ self.weight


class _Categories(nn.Module):
    """What the categories give to the first layer: a table's row for each slot, added up."""

    column: Tensor
    offsets: Tensor
    table: Tensor

    def __init__(self, categories: Categories, first: nn.Linear) -> None:
        super().__init__()
        offsets, size = categories.offsets, categories.table.embedding_dim
        count = len(offsets)
        weight = first.weight.detach().double()[:, -count * size :].reshape(-1, count, size)
        ends = [*offsets.tolist()[1:], len(categories.table.weight)]
        embedded = categories.table.weight.detach().double()
        parts = [
            embedded[start:end] @ weight[:, column].T
            for column, (start, end) in enumerate(zip(offsets.tolist(), ends, strict=True))
        ]
        self.count = count
        self.register_buffer("offsets", offsets.float())
        self.register_buffer("table", torch.cat(parts).float())

    def forward(self, rows: Tensor) -> Tensor:
        """Return [N, hidden]."""
        slots = (rows[:, -self.count :] + self.offsets).to(torch.int64)
        return self.table[slots].sum(1)


def _weight(numbers: Numbers, first: nn.Linear) -> Tensor:
    """Return the first layer's part for numbers as [values, hidden], in the order values are cut."""
    weight = first.weight.detach().double()[:, : numbers.width].T
    count, gaps = len(numbers.median), len(numbers.gaps)
    scaled, flags, bends = weight[:count], weight[count : count + gaps], weight[count + gaps :]
    return torch.cat([scaled * (2 * FAR), bends, flags]).float()


def _bias(numbers: Numbers | None, first: nn.Linear) -> Tensor:
    """Return the first layer's bias [hidden] with what shifting the scaled numbers took away."""
    bias = first.bias.detach().double()
    if numbers is not None:
        bias = bias - FAR * first.weight.detach().double()[:, : len(numbers.median)].sum(1)
    return bias.float()
