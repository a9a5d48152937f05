"""Code written once for one manifest: what is done with each field of a request, without a loop over fields.

Each function is a few lines of source made from numbers and names of its own (``f0``, ``t0``, …), never from
a feature's name, so no manifest can smuggle code in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from struct import pack_into
from typing import Any

from .layout import Layout, Values

Fill = Callable[[Any, memoryview], None]
"""Writes decoded records into the model's memory. Raises KeyError at a value outside its vocabulary and
struct.error at a missing number that stands as None."""
Find = Callable[[Sequence[Values]], list[int]]
"""Returns the places of some records."""


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
    fill: Fill = _made(source, "fill", pack=layout.row.pack_into, **_tables(layout))
    return fill


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
    fill: Fill = _made(source, "fill", pack=pack_into, chain=chain, **lookups)
    return fill


def strange_finder(layout: Layout) -> Find:
    """Return the function that finds the lawful records of which ``Layout.cautions`` has something to say."""
    ordinary = [
        f"((v := r[{index}]) is None or low{index} <= v <= high{index} or v != v)" for index in layout.bounds
    ]
    ordinary += [f"r[{index}] in t{index}" for index in layout.categories]
    source = (
        "def find(records):\n"
        "    return [place for place, r in enumerate(records)\n"
        f"            if not ({' and '.join(ordinary) or True})]\n"
    )
    bounds = {
        f"{side}{index}": bound
        for index, pair in layout.bounds.items()
        for side, bound in zip(("low", "high"), pair, strict=True)
    }
    find: Find = _made(source, "find", **bounds, **_tables(layout))
    return find


def _number(value: str, gaps: bool) -> str:
    return f"nan if {value} is None else {value}" if gaps else value


def _tables(layout: Layout) -> dict[str, dict[str | None, float]]:
    return {f"t{index}": table for index, table in layout.slots.items()}


def _made(source: str, made: str, **names: Any) -> Any:
    """Run the definition of the function called ``made``, which sees ``names``, and return it."""
    space: dict[str, Any] = {"nan": math.nan, **names}
    exec(compile(source, "<rows of the manifest>", "exec"), space)  # noqa: S102 - see the module's word on it
    return space[made]
