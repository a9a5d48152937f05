"""``report.html``: the contest as a page that needs nothing else, for light and dark screens."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape

from training.package.contest import Contest, Entry
from training.package.manifest import Subject
from training.package.pareto import Point, draw
from training.package.standing import HEADER, cells, summary, times

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2530; --soft: #5b6675; --line: #d7dce3; --paper: #ffffff;
  --good: #2f6fde; --chosen: #c2410c; --refused: #98a2b0; --front: #2f6fde; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa6b5; --line: #333c48;
  --paper: #12171e; --good: #7aa7ff; --chosen: #ff9d5c; --refused: #66717f; --front: #7aa7ff; } }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 90rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; max-width: 60rem; } .soft, figcaption { color: var(--soft); }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; } figure { flex: 1 1 26rem; margin: 0; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink);
  paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg .name { font-weight: 700; fill: var(--chosen); } .grid { stroke: var(--line); }
.frontier { fill: none; stroke: var(--front); stroke-width: 1.5; stroke-dasharray: 5 4; }
.whisker { stroke: var(--soft); } .leader { stroke: var(--refused); stroke-width: .75; }
.good { fill: var(--good); } .refused { fill: var(--refused); }
.chosen { fill: var(--chosen); } .ring { fill: none; stroke: var(--chosen); stroke-width: 2; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  white-space: nowrap; }
th { font-weight: 600; color: var(--soft); white-space: normal; vertical-align: bottom; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
td:nth-child(2) { white-space: normal; min-width: 12rem; }
tr.chosen-row { font-weight: 600; color: var(--chosen); }
tr.refused-row { color: var(--soft); }
"""


def write_report(subject: Subject) -> str:
    """Return the page."""
    contest, name = subject.contest, f"{subject.contract.name} {subject.version}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(name)}: the contest</title><style>{_STYLE}</style></head><body>",
        f'<h1>{escape(name)}: the contest</h1><p class="soft">{escape(subject.contract.question)}</p>',
        *(f"<p>{escape(sentence)}</p>" for sentence in summary(contest)),
        '<h2>What accuracy costs</h2><div class="pictures">',
        _picture(contest, lambda entry: entry.timing.latency[1].p50, "µs for one record, median, one thread"),
        _picture(contest, lambda entry: float(entry.bytes), "bytes of the graphs"),
        f"</div>{_LEGEND}<h2>Every candidate</h2>{_table(contest)}{_made(contest)}",
        *(f"<p>{escape(sentence)}</p>" for sentence in _reading(subject)),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


_LEGEND = (
    '<p class="soft">Up and left is better. The dashed steps are the frontier: no candidate below them is '
    "worth its price. Ringed: the chosen one. Grey: refused. A whisker is the 95 % interval of the "
    "difference to the best candidate, on the same rows.</p>"
)


def _picture(contest: Contest, cost: Callable[[Entry], float], axis: str) -> str:
    points = [_point(contest, entry, cost(entry)) for entry in contest.entries]
    drawn = [point for point in points if math.isfinite(point.value)]
    if not drawn:
        return "<figure><figcaption>No candidate's AUC is defined.</figcaption></figure>"
    return f"<figure>{draw(drawn, f'accuracy against {axis}', axis)}</figure>"


def _point(contest: Contest, entry: Entry, cost: float) -> Point:
    value, loss = entry.metrics.auc, entry.loss
    low, high = (value + loss.estimate - side for side in (loss.high, loss.low))
    known = math.isfinite(low + high)
    return Point(
        name=entry.name,
        cost=cost,
        value=value,
        low=low if known else value,
        high=high if known else value,
        chosen=contest.chose(entry),
        refused=bool(entry.refusals),
    )


def _table(contest: Contest) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEADER)
    rows = "".join(_row(contest, entry) for entry in contest.entries)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _row(contest: Contest, entry: Entry) -> str:
    kind = "chosen-row" if contest.chose(entry) else "refused-row" if entry.refusals else "good-row"
    row = "".join(f"<td>{escape(cell.replace('**', ''))}</td>" for cell in cells(contest, entry))
    return f'<tr class="{kind}">{row}</tr>'


def _made(contest: Contest) -> str:
    items = (f"<li>{escape(f'{entry.name}: {entry.candidate.made}')}</li>" for entry in contest.entries)
    return f"<ul>{''.join(items)}</ul>"


def _reading(subject: Subject) -> list[str]:
    optimise, rows = subject.contract.model.optimise, subject.contest.winner.metrics.rows
    cost = (
        f"All figures are of the {rows} rows of the validation split. Cost is the geometric mean of the time "
        "for one record and for 256, relative to the teacher's in the same round; candidates within "
        f"{optimise.alike:.0%} of the cheapest count as equally fast, and the smallest of them is chosen."
    )
    loss = (
        f"A candidate may lose {optimise.tolerance:g} AUC against the best one, even at the far end of its "
        f"interval. The test split was read {times(subject.test_reads)}, after the choice."
    )
    return [cost, loss]
