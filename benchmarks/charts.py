"""Charts as SVG, without a library: bars with intervals and limits, and lines over a logarithmic axis.

Colours follow the reader's light or dark scheme, fonts are the reader's own; the background is drawn, so that
a chart stays readable on a page that follows another scheme than the reader's system.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Literal

WIDTH = 760
LETTER = 6.6
"""Mean width of a letter at the size of all text, in pixels: the browser's own cannot be known here."""
BAR, HEADING, FOOT, EDGE = 30, 34, 34, 16
PLOT = 220
"""Height of a plot of lines."""
STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)}
.title{font-weight:600;font-size:13px}.faint{fill:var(--faint)}.back{fill:var(--back)}
.grid{stroke:var(--grid);stroke-width:1}.whisker{stroke:var(--ink);stroke-width:1.5;fill:none}
.limit{stroke:var(--limit);stroke-width:2;stroke-dasharray:5 3}.limit-text{fill:var(--limit)}
.line{fill:none;stroke-width:2}
svg{--back:#fff;--ink:#1f2328;--faint:#59636e;--grid:#d8dee4;--limit:#c4320a;
--c0:#2f6fde;--c1:#d97706;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#0e7490}
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--ink:#e6edf3;--faint:#9198a1;--grid:#30363d;--limit:#ff8a65;
--c0:#6ea8fe;--c1:#f0a94b;--c2:#56d364;--c3:#b392f0;--c4:#f778ba;--c5:#39c5cf}}
"""
COLOURS = 6


@dataclass(frozen=True)
class Limit:
    """What a value must keep: at most (``≤``) or at least (``≥``) ``value``."""

    sense: Literal["≤", "≥"]
    value: float

    def kept(self, value: float) -> bool:
        """Whether ``value`` keeps the limit."""
        return value <= self.value if self.sense == "≤" else value >= self.value

    def __str__(self) -> str:
        return f"{self.sense} {self.value:g}"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A median with its interval, and the limit it must keep if there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    limit: Limit | None = None


@dataclass(frozen=True, kw_only=True)
class Line:
    """Points (x, y) in the order of x; x above 0."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Either ``bars``, from zero, or ``lines`` over a logarithmic axis ``across``; values are in ``unit``.

    ``tall`` makes the other axis of lines logarithmic too; then y must be above 0.
    """

    title: str
    unit: str = ""
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    across: str = ""
    tall: bool = False

    def __post_init__(self) -> None:
        if bool(self.bars) == bool(self.lines):
            raise ValueError(f'chart "{self.title}": give it either bars or lines')


def drawing(charts: Sequence[Chart]) -> str:
    """Return one SVG document with ``charts`` below each other."""
    heights = [height(chart) for chart in charts]
    tops = [0.0, *accumulate(heights)]
    label = escape("; ".join(chart.title for chart in charts), quote=True)
    shapes = [
        f'<g transform="translate(0 {top:g})">{"".join(shapes_of(chart))}</g>'
        for chart, top in zip(charts, tops, strict=False)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tops[-1]:g}" width="{WIDTH}" '
        f'height="{tops[-1]:g}" role="img" aria-label="{label}"><style>{STYLE}</style>\n'
        f'<rect class="back" width="100%" height="100%" rx="6"/>\n' + "\n".join(shapes) + "\n</svg>\n"
    )


def height(chart: Chart) -> float:
    """Return the chart's height in pixels."""
    if chart.bars:
        return HEADING + BAR * len(chart.bars) + EDGE
    return HEADING + 20 + PLOT + FOOT + EDGE


def shapes_of(chart: Chart) -> Iterator[str]:
    """Yield the chart's elements, its heading first."""
    unit = f" ({chart.unit})" if chart.unit else ""
    yield words(EDGE, 23, chart.title + unit, style="title")
    yield from bars(chart.bars) if chart.bars else lines(chart)


def bars(shown: Sequence[Bar]) -> Iterator[str]:
    """Yield bars from zero, one below the other, each with its value, its interval and its limit."""
    left = EDGE + 10 + min(320, LETTER * max(len(bar.name) for bar in shown))
    right = WIDTH - EDGE - LETTER * max(len(caption(bar)) for bar in shown) - 8
    scale = linear(0, max(reach(bar) for bar in shown) or 1, left, right)
    for place, bar in enumerate(shown):
        yield from one_bar(bar, HEADING + BAR * place, scale)


def reach(bar: Bar) -> float:
    """Return the largest value that must fit on the axis."""
    return max(bar.value, bar.high or 0, bar.limit.value if bar.limit else 0)


def caption(bar: Bar) -> str:
    """Return what stands at the bar's end: its value, and the bar it must keep."""
    return number(bar.value) + (f" · bar: {bar.limit}" if bar.limit else "")


def one_bar(bar: Bar, top: float, scale: Callable[[float], float]) -> Iterator[str]:
    """Yield one bar whose row begins at ``top``."""
    start, end, middle = scale(0), scale(bar.value), top + BAR / 2
    missed = bar.limit is not None and not bar.limit.kept(bar.value)
    yield words(start - 10, middle + 4, bar.name, anchor="end")
    yield (
        f'<rect x="{start:g}" y="{top + 6:g}" width="{max(1, end - start):.1f}" height="{BAR - 12}" rx="2" '
        f'fill="var(--{"limit" if missed else "c0"})" fill-opacity=".8"/>'
    )
    if bar.low is not None and bar.high is not None:
        low, high = scale(bar.low), scale(bar.high)
        ends = f"M{low:.1f} {middle - 4}v8M{high:.1f} {middle - 4}v8"
        yield f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>'
    if bar.limit:
        at = scale(bar.limit.value)
        yield f'<path class="limit" d="M{at:.1f} {top + 2}V{top + BAR - 2}"/>'
    style = "limit-text" if missed else ""
    yield words(scale(reach(bar)) + 8, middle + 4, caption(bar), style=style)


def lines(chart: Chart) -> Iterator[str]:
    """Yield a plot of lines over a logarithmic axis, with its grid and legend."""
    points = [point for line in chart.lines for point in line.points]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    floor, top = (min(ys), max(ys)) if chart.tall else (0.0, max(ys) * 1.05 or 1.0)
    bottom, ceiling = HEADING + 20 + PLOT, HEADING + 20.0
    rising = (logarithmic if chart.tall else linear)(floor, top, bottom, ceiling)
    along = logarithmic(min(xs), max(xs), EDGE + 54, WIDTH - EDGE - 20)
    yield from legend(chart.lines)
    for y in decades(floor, top) if chart.tall else steps(top):
        yield f'<path class="grid" d="M{EDGE + 54} {rising(y):.1f}H{WIDTH - EDGE - 20}"/>'
        yield words(EDGE + 46, rising(y) + 4, f"{y:,.10g}", anchor="end", style="faint")
    for x in sorted(set(xs)):
        yield words(along(x), bottom + 18, f"{x:,.10g}", anchor="middle", style="faint")
    yield words(WIDTH - EDGE - 20, bottom + 36, chart.across, anchor="end", style="faint")
    for place, line in enumerate(chart.lines):
        yield from one_line(line, f"var(--c{place % COLOURS})", along, rising)


def one_line(
    line: Line, colour: str, along: Callable[[float], float], rising: Callable[[float], float]
) -> Iterator[str]:
    """Yield one line with a dot at each of its points."""
    places = [(along(x), rising(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    yield f'<path class="line" stroke="{colour}" d="M{path}"/>'
    for x, y in places:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def legend(shown: Sequence[Line]) -> Iterator[str]:
    """Yield the lines' names beside their colours, in one row."""
    lengths = (LETTER * len(line.name) + 40 for line in shown)
    for place, (line, x) in enumerate(zip(shown, accumulate(lengths, initial=EDGE), strict=False)):
        yield f'<circle cx="{x + 5:.1f}" cy="{HEADING + 4}" r="4" fill="var(--c{place % COLOURS})"/>'
        yield words(x + 14, HEADING + 8, line.name)


def words(x: float, y: float, text: str, *, anchor: str = "start", style: str = "") -> str:
    """Return a text element."""
    kind = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'


def number(value: float) -> str:
    """Return ``value`` with three significant digits, thousands set apart, never as a power of ten."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the map of [low, high] onto [start, end]."""
    return lambda value: start + (value - low) / (high - low or 1) * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Return the map of [low, high], both above 0, onto [start, end] by the logarithm."""
    straight = linear(math.log(low), math.log(high), start, end)
    return lambda value: straight(math.log(value))


def steps(top: float) -> list[float]:
    """Return four to ten round values from 0 up to ``top``."""
    size = 10.0 ** math.floor(math.log10(top))
    step = next(size * part for part in (0.1, 0.2, 0.5, 1) if top / (size * part) <= 10)
    return [step * count for count in range(math.floor(top / step) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten from ``low`` to ``high``, or both ends where none lies between."""
    exponents = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**exponent for exponent in exponents] or [low, high]
