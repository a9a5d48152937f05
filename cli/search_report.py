"""A search as one self-contained page: its progress, each hyperparameter against the objective, the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from cli.search import Search, Trial, short

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 30, 40
STYLE = """
:root { --ink: #1c2430; --faint: #6b7686; --line: #d8dee6; --dot: #2a6fb0; --best: #c2541b; --paper: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --faint: #97a2b2; --line: #36404d; --dot: #6db1ee; --best: #f29a5c;
    --paper: #161b22; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 900px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
p { color: var(--faint); margin-top: .3rem; }
.plots { display: flex; flex-wrap: wrap; gap: 12px; }
svg { flex: 1 1 380px; max-width: 440px; height: auto; }
text { fill: var(--faint); font-size: 12px; }
text.title { fill: var(--ink); font-size: 13px; font-weight: 600; }
.axis { stroke: var(--line); }
.dot { fill: var(--dot); fill-opacity: .75; }
.dot.best { fill: var(--best); fill-opacity: 1; }
.step { fill: none; stroke: var(--best); stroke-width: 1.5; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
tr.best { color: var(--best); font-weight: 600; }
"""

Place = Callable[[float], float]


@dataclass(frozen=True)
class Axis:
    """One axis: from what is measured to a place between 0 and 1, and the marks along it."""

    place: Place
    marks: tuple[tuple[float, str], ...]
    """Place between 0 and 1, and the text that stands there."""


def page(workload: str, search: Search) -> str:
    """Draw the whole page. At least one trial must have completed."""
    done = [each for each in search.trials if each.objective is not None]
    names = list(dict.fromkeys(name for each in done for name in each.hyperparameters))
    plots = [progress(search, done), *(against(search, done, name) for name in names)]
    title = f"Search {search.name}"
    better = "higher" if search.maximise else "lower"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>{escape(workload)}: {escape(search.summary())}; {better} is better</p>"
        f'<div class="plots">{"".join(plots)}</div>{listed(search, names)}</html>\n'
    )


def objectives(done: Sequence[Trial]) -> Axis:
    """Make the axis of the objective."""
    return numbers([each.objective for each in done if each.objective is not None], logarithmic=False)


def numbers(values: Sequence[float], *, logarithmic: bool) -> Axis:
    """Make an axis that holds ``values`` with a margin, with round numbers along it."""
    bend: Place = math.log10 if logarithmic else float
    low, high = min(map(bend, values)), max(map(bend, values))
    margin = (high - low) * 0.06 or abs(high) * 0.01 or 1
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return (bend(value) - low) / (high - low)

    round_ones = decades(10**low, 10**high) if logarithmic else steps(low, high)
    return Axis(place, tuple((place(each), f"{each:.6g}") for each in round_ones))


def steps(low: float, high: float) -> list[float]:
    """Give a few multiples of 1, 2 or 5 times a power of ten between ``low`` and ``high``."""
    size = 10.0 ** math.floor(math.log10(high - low))
    step = max(size * part for part in (0.2, 0.5, 1, 2) if (high - low) / (size * part) >= 2.5)
    return [round(count * step, 12) for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Give powers of ten between ``low`` and ``high``, with 2 and 5 times them where those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1,) if math.log10(high / low) > 3 else (1, 2, 5)
    marks = [float(f"{part}e{power}") for power in powers for part in parts]
    return [each for each in marks if low <= each <= high]


def choices(values: Sequence[str]) -> Axis:
    """Make an axis with a mark for each text."""
    known = sorted(set(values), key=lambda text: (len(text), text))
    places = {text: (index + 0.5) / len(known) for index, text in enumerate(known)}
    marks = tuple((places[text], text) for text in known)
    return Axis(lambda index: places[values[int(index)]], marks)


def progress(search: Search, done: Sequence[Trial]) -> str:
    """Draw the objective of one trial after the other, and the best so far."""
    down = objectives(done)
    across = numbers([0.5, max(each.number for each in done) + 0.5], logarithmic=False)
    across = Axis(
        across.place, tuple((across.place(each.number), str(each.number)) for each in thinned(done))
    )
    dots = [dot(search, each, across.place(each.number), down) for each in done]
    best = accumulate((each.objective or 0.0 for each in done), max if search.maximise else min)
    places = [
        (x(across.place(each.number)), y(down.place(value))) for each, value in zip(done, best, strict=True)
    ]
    bends = "".join(f"H{right:.1f}V{height:.1f}" for right, height in places[1:])
    line = f'<path class="step" d="M{places[0][0]:.1f} {places[0][1]:.1f}{bends}"/>'
    return framed(f"{search.metric} by trial (line: best so far)", across, down, line + "".join(dots))


def thinned(done: Sequence[Trial]) -> Sequence[Trial]:
    """Leave out marks that would not fit beside each other."""
    return done[:: math.ceil(len(done) / 12)]


def against(search: Search, done: Sequence[Trial], name: str) -> str:
    """Draw the objective against one hyperparameter."""
    down, texts = objectives(done), [each.hyperparameters[name] for each in done]
    if search.scales.get(name) is None:
        across, places = choices(texts), [float(index) for index in range(len(texts))]
    else:
        places = [float(text) for text in texts]
        across = numbers(places, logarithmic=search.scales[name] == "Logarithmic")
    dots = [dot(search, each, across.place(at), down) for each, at in zip(done, places, strict=True)]
    return framed(f"{search.metric} by {name}", across, down, "".join(dots))


def dot(search: Search, trial: Trial, across: float, down: Axis) -> str:
    """Draw one trial; what it was shows where the pointer rests."""
    kind = "dot best" if search.best is trial else "dot"
    objective = trial.objective or 0.0
    told = escape(f"trial {trial.number}: {search.metric} {objective:.5f}; {trial.line()}")
    at = f'cx="{x(across):.1f}" cy="{y(down.place(objective)):.1f}"'
    return f'<circle class="{kind}" {at} r="5"><title>{told}</title></circle>'


def x(place: float) -> float:
    """Give the picture's own coordinate of a place between 0 (left) and 1."""
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def y(place: float) -> float:
    """Give the picture's own coordinate of a place between 0 (bottom) and 1."""
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def framed(title: str, across: Axis, down: Axis, content: str) -> str:
    """Draw a plot: title, axes with their marks, content."""
    frame = f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    below = "".join(
        f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{escape(text)}</text>'
        for at, text in across.marks
    )
    beside = "".join(
        f'<text x="{LEFT - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for at, text in down.marks
    )
    heading = f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>'
    label = escape(title)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{heading}{frame}{below}{beside}{content}</svg>"
    )


def listed(search: Search, names: Sequence[str]) -> str:
    """Draw the table of the completed trials, the best first."""
    head = "".join(f"<th>{escape(each)}</th>" for each in ("trial", search.metric, *names))
    lines = [line(each, names, best=each is search.best) for each in search.ranked()]
    return f'<div class="table"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def line(trial: Trial, names: Sequence[str], *, best: bool) -> str:
    """Draw one row of the table."""
    values = (str(trial.number), f"{trial.objective or 0.0:.5f}")
    cells = (*values, *(short(trial.hyperparameters.get(name, "")) for name in names))
    marked = ' class="best"' if best else ""
    return f"<tr{marked}>{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"
