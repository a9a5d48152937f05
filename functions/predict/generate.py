"""Code written once for one manifest: decoded requests into the model's memory, without a loop over fields.

Each function is a few lines of source made from numbers and names of its own (``f0``, ``t0``, …), never from
a feature's name, so no manifest can smuggle code in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from struct import pack_into
from typing import Any

from .layout import Layout

Fill = Callable[[Any, memoryview], None]
"""Writes decoded records into the model's memory. Raises KeyError at a value outside its vocabulary and
struct.error at a missing number that stands as None."""


def records_filler(layout: Layout, *, gaps: bool) -> Fill:
    """Return the function for a list of records, whose fields are numbered: f0, f1 and so on.

    With ``gaps`` it also takes None for a number, somewhat slower.
    """
    numbers = [_number(f"r.f{index}", gaps) for index in layout.numbers]
    slots = [f"t{index}[r.f{index}]" for index in layout.categories]
    source = (
        "def fill(records, rows):\n"
        "    place = 0\n"
        "    for r in records:\n"
        f"        pack(rows, place, {', '.join(numbers + slots)})\n"
        f"        place += {layout.row.size}\n"
    )
    return _made(source, pack=layout.row.pack_into, **_tables(layout))


def columns_filler(layout: Layout, *, gaps: bool) -> Fill:
    """Return the function for columns: a sequence of equally long lists in the order of the features."""
    numbers = [f"[{_number('v', True)} for v in c[{i}]]" if gaps else f"c[{i}]" for i in layout.numbers]
    slots = [f"map(t{index}, c[{index}])" for index in layout.categories]
    width = len(numbers) + len(slots)
    source = (
        "def fill(c, rows):\n"
        f"    values = chain.from_iterable(zip({', '.join(numbers + slots)}))\n"
        f"    pack('%df' % ({width} * len(c[0])), rows, 0, *values)\n"
    )
    lookups = {name: table.__getitem__ for name, table in _tables(layout).items()}
    return _made(source, pack=pack_into, chain=chain, **lookups)


def _number(value: str, gaps: bool) -> str:
    return f"nan if {value} is None else {value}" if gaps else value


def _tables(layout: Layout) -> dict[str, dict[str | None, float]]:
    return {f"t{index}": table for index, table in layout.slots.items()}


def _made(source: str, **names: Any) -> Fill:
    space: dict[str, Any] = {"nan": math.nan, **names}
    exec(compile(source, "<rows of the manifest>", "exec"), space)  # noqa: S102 - see the module's word on it
    fill: Fill = space["fill"]
    return fill
