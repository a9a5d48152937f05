"""The model rearranged for one record: fewer steps, since each costs more than the numbers in it.

All that stands before the first layer becomes one cut to [0, 1] and one multiplication: a scaled number is
such a cut value, a bend is one, a flag is one, and a slot is the sum of the steps up to it. For many records
the plain order is faster, because the cut values are many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.train.model import FAR, Categories, Numbers, Tabular

MOST_STEPS = 512
"""With more slots than this, looking up a table's rows is faster than so many steps, and more exact."""
_HUGE, _TINY = 3e38, 1e-30
"""What stands for a missing number in its flag, and the factor that makes it 1 and any other number 0."""


class Folded(nn.Module):
    """Log-odds [N] from ``rows`` [N, n + c]; equal to the model's up to rounding."""

    column: Tensor
    fill: Tensor
    scale: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, model: Tabular) -> None:
        super().__init__()
        first, self._rest = model.layers()
        self.table: _Table | None = None
        parts = list(_of_numbers(model.numbers, first)) if model.numbers is not None else []
        if model.categories is not None:
            tables = _tables(model.categories, first)
            if sum(map(len, tables)) <= MOST_STEPS:
                parts += [_steps(table, model.columns - len(tables) + at) for at, table in enumerate(tables)]
            else:
                self.table = _Table(model.categories, tables)
        self._keep(parts, first)

    def forward(self, rows: Tensor) -> Tensor:
        """Add up what every column gives to the first layer, and go on as the model does."""
        hidden = self.bias
        if len(self.column):
            raw = rows.index_select(1, self.column)
            filled = torch.where(torch.isnan(raw), self.fill, raw)
            cut = (filled * self.scale + self.shift).clamp(0, 1)
            hidden = nn.functional.linear(cut, self.weight, self.bias)
        if self.table is not None:
            hidden = self.table(rows) + hidden
        odds: Tensor = self._rest(hidden)
        return odds.squeeze(1)

    def _keep(self, parts: list[_Part], first: nn.Linear) -> None:
        """Keep ``parts`` side by side; the shares of the bias are added up."""
        empty = torch.zeros(0)
        for name in ("column", "fill", "scale", "shift"):
            joined = torch.cat([getattr(part, name) for part in parts]) if parts else empty
            self.register_buffer(name, joined if name == "column" else joined.float())
        weight = torch.cat([part.weight for part in parts]).T if parts else torch.zeros(first.out_features, 0)
        self.register_buffer("weight", weight.float().contiguous())
        bias = first.bias.detach().double()
        self.register_buffer("bias", torch.stack([bias, *(part.bias for part in parts)]).sum(0).float())


@dataclass(frozen=True)
class _Part:
    """K cut values: raw[column] · scale + shift, ``fill`` where missing, times ``weight`` [K, hidden].

    ``bias`` [hidden] is what they give besides.
    """

    column: Tensor
    fill: Tensor
    scale: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor


def _of_numbers(numbers: Numbers, first: nn.Linear) -> Iterator[_Part]:
    """Yield scaled numbers, flags and bends, in the order of the first layer's weights."""
    weight = first.weight.detach().double().T
    median, nothing = numbers.median.double(), torch.zeros(first.out_features).double()
    mean, std = numbers.mean.double(), numbers.std.double()
    every, flagged = torch.arange(len(median)), numbers.gaps
    scaled = weight[: len(every)]
    # A scaled number in [-FAR, FAR] is 2 FAR times a value in [0, 1], less FAR.
    scale = 1 / (2 * FAR * std)
    yield _Part(every, median, scale, (FAR * std - mean) * scale, scaled * 2 * FAR, -FAR * scaled.sum(0))
    ones = torch.ones(len(flagged)).double()
    flags = weight[len(every) : len(every) + len(flagged)]
    yield _Part(flagged, ones * _HUGE, ones * _TINY, ones * 0, flags, nothing)
    bent, scale = numbers.bend_of, 1 / numbers.bend_length.double()
    bends = weight[len(every) + len(flagged) : numbers.width]
    yield _Part(bent, median[bent], scale, -numbers.bend_start.double() * scale, bends, nothing)


def _tables(categories: Categories, first: nn.Linear) -> list[Tensor]:
    """Return for each category what its slots give to the first layer, [slots, hidden]."""
    size, starts = categories.table.embedding_dim, categories.offsets.tolist()
    weight = first.weight.detach().double()[:, -len(starts) * size :].reshape(-1, len(starts), size)
    embedded = categories.table.weight.detach().double()
    ends = [*starts[1:], len(embedded)]
    return [
        embedded[start:end] @ weight[:, at].T
        for at, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _steps(table: Tensor, column: int) -> _Part:
    """Return ``table`` [slots, hidden] as a sum of steps: a slot takes its own and those of all below."""
    slots = torch.arange(1, len(table)).double()
    return _Part(
        column=torch.full((len(slots),), column),
        fill=slots * 0,
        scale=slots * 0 + 1,
        shift=1 - slots,
        weight=table[1:] - table[:-1],
        bias=table[0],
    )


class _Table(nn.Module):
    """What slots give to the first layer, [N, hidden] from ``rows`` [N, n + c], looked up and added."""

    offsets: Tensor
    rows: Tensor

    def __init__(self, categories: Categories, tables: list[Tensor]) -> None:
        super().__init__()
        self._count = len(tables)
        self.register_buffer("offsets", categories.offsets.float())
        self.register_buffer("rows", torch.cat(tables).float())

    def forward(self, rows: Tensor) -> Tensor:
        """Look up and add."""
        slots = (rows[:, -self._count :] + self.offsets).to(torch.int64)
        return nn.functional.embedding(slots, self.rows).sum(1)
