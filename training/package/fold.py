"""The model rearranged for one record: fewer steps, since each costs more than the numbers in it.

All that stands before the first layer becomes two multiplications with a cut to [0, 1] between them: a scaled
number is such a cut value, a bend is one, a flag is one, and a slot is the sum of the steps up to it. For
many records the plain order is faster, because the cut values are many.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.train.model import FAR, Categories, Numbers, Tabular

MOST_STEPS = 512
"""With more slots than this, looking up a table's rows is faster than so many steps, and more exact."""
_MISSING = 3e38
"""What stands for a missing number: it cuts to 1 all that its column gives, the column's flag included."""
_FLAG = (1e-33, -0.5)
"""Scale and shift of a flag: 0 for every number that occurs, 1 for a missing one."""
_REMOTE = 200
"""A mean so many standard deviations from zero is taken off first: float32 would round away what counts."""


class Folded(nn.Module):
    """Log-odds [N] from finite ``rows`` [N, n + c]; equal to the model's up to rounding."""

    centre: Tensor
    spread: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, model: Tabular) -> None:
        super().__init__()
        first, self._rest = model.layers()
        self.table: _Table | None = None
        centre = torch.zeros(0) if model.numbers is None else _centre(model.numbers)
        parts = _of_numbers(model.numbers, first, centre.double()) if model.numbers is not None else []
        if model.categories is not None:
            tables = _tables(model.categories, first)
            if sum(map(len, tables)) <= MOST_STEPS:
                parts += [_steps(table, model.columns - len(tables) + at) for at, table in enumerate(tables)]
            else:
                self.table = _Table(model.categories, tables)
        self._remote = bool(centre.any())
        self.register_buffer("centre", nn.functional.pad(centre, (0, model.columns - len(centre))))
        self._keep(parts, first, model.columns)

    def forward(self, rows: Tensor) -> Tensor:
        """Add up what every column gives to the first layer, and go on as the model does."""
        hidden = self.bias
        if len(self.shift):
            near = rows - self.centre if self._remote else rows
            filled = torch.where(torch.isnan(near), _MISSING, near)
            cut = torch.addmm(self.shift, filled, self.spread).clamp(0, 1)
            hidden = torch.addmm(self.bias, cut, self.weight)
        if self.table is not None:
            hidden = self.table(rows) + hidden
        odds: Tensor = self._rest(hidden)
        return odds.squeeze(1)

    def _keep(self, parts: list[_Part], first: nn.Linear, columns: int) -> None:
        """Keep ``parts`` side by side; the shares of the bias are added up."""
        column, scale, shift = (
            torch.cat([torch.zeros(0).double(), *(getattr(part, name) for part in parts)])
            for name in ("column", "scale", "shift")
        )
        # Every cut value is made of one column alone.
        spread = nn.functional.one_hot(column.long(), columns).T * scale
        weight = torch.cat([torch.zeros(0, first.out_features).double(), *(part.weight for part in parts)])
        bias = torch.stack([first.bias.detach().double(), *(part.bias for part in parts)]).sum(0)
        for name, value in {"spread": spread, "shift": shift, "weight": weight, "bias": bias}.items():
            self.register_buffer(name, value.float().contiguous())


@dataclass(frozen=True)
class _Part:
    """K cut values: raw[column] · scale + shift, times ``weight`` [K, hidden]; raw counts from its centre.

    ``bias`` [hidden] is what they give besides.
    """

    column: Tensor
    scale: Tensor
    shift: Tensor
    weight: Tensor
    bias: Tensor

    def of(self, raw: Tensor) -> Tensor:
        """Return what each cut value gives to the first layer, [K, hidden], its column being ``raw`` [K]."""
        return (raw * self.scale + self.shift).clamp(0, 1)[:, None] * self.weight


def _centre(numbers: Numbers) -> Tensor:
    """Return from where each number is counted, [n] float32: its mean if that is remote, else 0."""
    return torch.where(numbers.mean.abs() > _REMOTE * numbers.std, numbers.mean, 0.0)


def _of_numbers(numbers: Numbers, first: nn.Linear, centre: Tensor) -> list[_Part]:
    """Return scaled numbers, bends and flags of numbers that are counted from ``centre`` [n].

    Every number has a flag. It brings what a gap means, and takes back what the missing number's cut values
    give in excess of the median's.
    """
    weight = first.weight.detach().double().T
    count, gaps = len(numbers.median), numbers.gaps
    mean, std, every = numbers.mean.double() - centre, numbers.std.double(), torch.arange(count)
    median, start = numbers.median.double() - centre, numbers.bend_start.double() - centre[numbers.bend_of]
    scaled, bends = weight[:count], weight[count + len(gaps) : numbers.width]
    # A scaled number in [-FAR, FAR] is 2 FAR times a value in [0, 1], less FAR.
    scale, steep = 1 / (2 * FAR * std), 1 / numbers.bend_length.double()
    nothing = torch.zeros(first.out_features).double()
    parts = [
        _Part(every.double(), scale, (FAR * std - mean) * scale, scaled * 2 * FAR, -FAR * scaled.sum(0)),
        _Part(numbers.bend_of.double(), steep, -start * steep, bends, nothing),
    ]
    flags = torch.zeros(count, first.out_features).double()
    flags[gaps] = weight[count : count + len(gaps)]
    for part in parts:
        column = part.column.long()
        flags.index_add_(0, column, part.of(median[column]) - part.weight)
    ones = torch.ones(count).double()
    return [*parts, _Part(every.double(), ones * _FLAG[0], ones * _FLAG[1], flags, nothing)]


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
        column=torch.full((len(slots),), float(column)).double(),
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
