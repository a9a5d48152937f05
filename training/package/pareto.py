"""A picture of a trade: accuracy against what it costs, as SVG that a page can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape

_WIDTH, _HEIGHT = 560, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 16, 52
_AIR = 0.12  # share of an axis left free at each end
_TICKS = (1, 2, 5)
_CLOSE_TICKS = (1, 1.5, 2, 3, 4, 5, 7)
"""The same where the axis spans less than a decade."""
_LINE = 13  # height of a line of text
_LETTER = 6.8  # width of a letter, a little more than most fonts take
_MARK = 5  # radius


@dataclass(frozen=True, kw_only=True)
class Point:
    """A candidate: ``cost`` above 0, ``value`` with its interval, and how it is to be drawn."""

    name: str
    cost: float
    value: float
    low: float
    high: float
    chosen: bool
    refused: bool


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that no cheaper or equally cheap one matches in value, by ascending cost."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.value)):
        if not found or point.value > found[-1].value:
            found.append(point)
    return found


def draw(points: Sequence[Point], title: str, axis: str) -> str:
    """Return the picture: cost to the right on a logarithmic axis, value upwards, the frontier as steps."""
    across = _scale(
        math.log10(min(point.cost for point in points)),
        math.log10(max(point.cost for point in points)),
        (_LEFT, _WIDTH - _RIGHT),
    )
    up = _scale(
        min(point.low for point in points), max(point.high for point in points), (_HEIGHT - _BOTTOM, _TOP)
    )
    place = [(across(math.log10(point.cost)), up(point.value)) for point in points]
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_cost_axis(points, across, axis),
        *_value_axis(points, up),
        _steps(frontier(points), across, up),
        *(_whisker(x, up(point.low), up(point.high)) for point, (x, _) in zip(points, place, strict=True)),
        *_names(points, place),
        *(_mark(point, x, y) for point, (x, y) in zip(points, place, strict=True)),
        "</svg>",
    ]
    return "\n".join(parts)


Scale = Callable[[float], float]


def _scale(low: float, high: float, pixels: tuple[float, float]) -> Scale:
    air = (high - low) * _AIR or 0.1
    start, span = low - air, high - low + 2 * air
    return lambda value: pixels[0] + (value - start) / span * (pixels[1] - pixels[0])


def _cost_axis(points: Sequence[Point], across: Scale, axis: str) -> list[str]:
    least, most = (bound(point.cost for point in points) for bound in (min, max))
    decades = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1)
    digits = _TICKS if most >= 10 * least else _CLOSE_TICKS
    ticks = [digit * 10.0**power for power in decades for digit in digits]
    shown = [tick for tick in ticks if _LEFT <= across(math.log10(tick)) <= _WIDTH - _RIGHT]
    bottom = _HEIGHT - _BOTTOM
    lines = [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_short(tick)}</text>'
        for tick in shown
        for x in (across(math.log10(tick)),)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*lines, f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(axis)}</text>']


def _value_axis(points: Sequence[Point], up: Scale) -> list[str]:
    low, high = min(point.low for point in points), max(point.high for point in points)
    step = _nice((high - low or 0.001) / 4)
    ticks = [step * number for number in range(math.floor(low / step), math.ceil(high / step) + 1)]
    lines = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in ticks
        for y in (up(tick),)
        if _TOP <= y <= _HEIGHT - _BOTTOM
    ]
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = (
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">validation AUC</text>'
    )
    return [*lines, turned]


def _nice(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= step)


def _short(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {letter}"
    return f"{value:g}"


def _steps(points: Sequence[Point], across: Scale, up: Scale) -> str:
    path = f"M{across(math.log10(points[0].cost)):.1f} {_HEIGHT - _BOTTOM}"
    for point in points:
        path += f" H{across(math.log10(point.cost)):.1f} V{up(point.value):.1f}"
    return f'<path class="frontier" d="{path} H{_WIDTH - _RIGHT}"/>'


def _whisker(x: float, low: float, high: float) -> str:
    return f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def _mark(point: Point, x: float, y: float) -> str:
    kind = "chosen" if point.chosen else "refused" if point.refused else "good"
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="10"/>' if point.chosen else ""
    title = f"<title>{escape(point.name)}: AUC {point.value:.4f}, {_short(point.cost)}</title>"
    return f'{ring}<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{_MARK}">{title}</circle>'


def _names(points: Sequence[Point], place: Sequence[tuple[float, float]]) -> list[str]:
    """Write each name below its mark's height, clear of the frontier, where it covers no mark and no name."""
    taken = [_Box(x - _MARK, x + _MARK, y - _MARK, y + _MARK) for x, y in place]
    written = []
    for point, (x, y) in sorted(zip(points, place, strict=True), key=lambda pair: pair[1][1]):
        length = _LETTER * len(point.name)
        right = x + 10 + length < _WIDTH - _RIGHT
        start = x + 10 if right else x - 10 - length
        box = _Box(start, start + length, y + 2, y + 2 + _LINE)
        while any(box.covers(other) for other in taken):
            box = replace(box, top=box.top + 2, bottom=box.bottom + 2)
        taken.append(box)
        weight = ' class="name"' if point.chosen else ""
        edge = box.left - 1 if right else box.right + 1
        written.append(
            f'<line class="leader" x1="{x:.1f}" x2="{edge:.1f}" y1="{y:.1f}" y2="{box.middle:.1f}"/>'
        )
        written.append(f'<text x="{start:.1f}" y="{box.bottom - 1:.1f}"{weight}>{escape(point.name)}</text>')
    return written


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2

    def covers(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )
