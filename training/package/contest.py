"""The contest: every candidate measured on the same validation rows, and the cheapest good one chosen.

The test split has no part in it. What is measured in microseconds decides, but is written nowhere in the
bundle that is served: equal input shall give equal bytes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from contract.schema import Model
from training.package.bootstrap import Interval, auc_losses
from training.package.candidate import Candidate, UnavailableError
from training.package.evaluate import Reader, score_all
from training.package.gate import Parity
from training.package.recipes import RECIPES
from training.package.scoring import Scorer
from training.package.timing import SIZES, Timing, time_all
from training.package.workbench import Workbench
from training.train.data import Examples
from training.train.metrics import Metrics

_log = logging.getLogger(__name__)
_TEACHER = "teacher"
_TIMED_ROWS = 4096
_JUDGED_SIZES = (1, 256)
_DIVERGED = "it has diverged: rows of the validation split get no probability"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A candidate and what was measured of it. ``refusals`` say why it may not be chosen."""

    candidate: Candidate
    metrics: Metrics
    parity: Parity
    loss: Interval
    """AUC lost against the best candidate."""
    timing: Timing
    refusals: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def bytes(self) -> int:
        """The size of its graphs together."""
        return self.candidate.graphs.bytes


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All entries, the one that was chosen, and why those in ``absent`` could not take part."""

    entries: Sequence[Entry]
    absent: Mapping[str, str]
    winner: Entry

    @property
    def teacher(self) -> Entry:
        """The entry of the training job's own model."""
        return next(entry for entry in self.entries if entry.name == _TEACHER)

    def chose(self, entry: Entry) -> bool:
        """Whether ``entry`` may be released: the winner, unless every candidate was refused."""
        return entry is self.winner and not entry.refusals

    def as_json(self) -> dict[str, Any]:
        """Return every figure, those that differ from one measurement to the next included."""
        return {
            "winner": self.winner.name,
            "absent": dict(self.absent),
            "candidates": [_entry(entry) for entry in self.entries],
        }

    @property
    def obstacle(self) -> str:
        """Why nothing may be released, where every candidate was refused."""
        if not self.winner.refusals:
            return ""
        return (
            f"no candidate kept every budget; the best, {self.winner.name}: {'; '.join(self.winner.refusals)}"
        )


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "made": entry.candidate.made,
        "refusals": list(entry.refusals),
        "files": {name: len(content) for name, content in entry.candidate.graphs.files.items()},
        "bytes": entry.bytes,
        "metrics": entry.metrics.as_json(),
        "auc_loss": {
            side: value if math.isfinite(value) else None for side, value in asdict(entry.loss).items()
        },
        "parity": entry.parity.finite,
        "microseconds": {str(size): asdict(found) for size, found in entry.timing.latency.items()},
        "ratio_to_teacher": {str(size): ratio for size, ratio in entry.timing.ratio.items()},
        "cost": entry.timing.cost,
        "load_milliseconds": entry.timing.load,
    }


def hold(bench: Workbench, validate: Examples, model: Model) -> Contest:
    """Make the candidates that ``model.optimise`` names, measure them on ``validate`` and choose."""
    made, absent = make(bench)
    measured = measure(made, bench, validate)
    for name in diverged(made, measured):
        _log.warning("WITHOUT THE CANDIDATE %s: %s", name, _DIVERGED)
        absent[name] = _DIVERGED
    entries = [replace(entry, refusals=refusals(entry, model)) for entry in measured]
    winner = choose(entries, model.optimise.alike)
    for entry in entries:
        _log.info("%s", line(entry))
    contest = Contest(entries=entries, absent=absent, winner=winner)
    _log.info("%s", contest.obstacle or f"the contest chose {winner.name}")
    return contest


def make(bench: Workbench) -> tuple[list[Candidate], dict[str, str]]:
    """Return the candidates that could be made, and why the others could not."""
    made: list[Candidate] = []
    absent: dict[str, str] = {}
    for name in bench.settings.candidates:
        _log.info("making the candidate %s", name)
        try:
            made += RECIPES[name](bench)
        except UnavailableError as error:
            _log.warning("WITHOUT THE CANDIDATE %s: %s", name, error)
            absent[str(name)] = str(error)
    return made, absent


def measure(made: Sequence[Candidate], bench: Workbench, validate: Examples) -> list[Entry]:
    """Return an entry for each candidate, all measured on every row of ``validate``.

    One that has diverged gets none. Raises ValueError where that is the teacher.
    """
    _log.info("measuring %d candidates on %d rows of the validation split", len(made), len(validate))
    scored = score_all(validate, readers(made, bench), keep=_TIMED_ROWS)
    made = [one for one in made if one.name == _TEACHER or scored.answers(f"{one.name} batch")]
    metrics = {candidate.name: scored.metrics(f"{candidate.name} batch") for candidate in made}
    best = max(metrics, key=lambda name: -math.inf if math.isnan(metrics[name].auc) else metrics[name].auc)
    scores = {candidate.name: scored.scores[f"{candidate.name} batch"] for candidate in made}
    losses = auc_losses(scored.labels, scores, best, bench.settings.draws)
    _log.info("timing them in turns, one thread each")
    graphs = {candidate.name: candidate.graphs for candidate in made}
    timings = time_all(graphs, _TEACHER, scored.rows, bench.settings.rounds)
    return [
        Entry(
            candidate=candidate,
            metrics=metrics[candidate.name],
            parity=worst_parity(scored.parities(candidate.name)),
            loss=losses[candidate.name],
            timing=timings[candidate.name],
        )
        for candidate in made
    ]


def diverged(made: Sequence[Candidate], measured: Sequence[Entry]) -> list[str]:
    """Return the names of the candidates that were made but could not be measured."""
    entered = {entry.name for entry in measured}
    return [candidate.name for candidate in made if candidate.name not in entered]


def readers(made: Sequence[Candidate], bench: Workbench) -> dict[str, Reader]:
    """Return who scores rows for each candidate: its two graphs, and the model they must agree with."""
    found: dict[str, Reader] = {}
    for candidate in made:
        for use, score in (
            ("batch", Scorer(candidate.graphs.batch)),
            ("single", Scorer(candidate.graphs.single)),
            ("reference", candidate.reference),
        ):
            found[f"{candidate.name} {use}"] = Reader(bench.inputs, score)
    return found


def worst_parity(found: Sequence[Parity]) -> Parity:
    """Return the worse of a candidate's graphs."""
    return max(found, key=lambda parity: parity.max_abs_difference)


def refusals(entry: Entry, model: Model) -> tuple[str, ...]:
    """Return which of the contract's limits ``entry`` breaks, in words."""
    optimise, metrics = model.optimise, entry.metrics
    allowed = optimise.quantised_parity if entry.candidate.quantised else model.budget.parity
    checks = {
        "its validation AUC is undefined: all rows are of one class": math.isnan(metrics.auc),
        f"validation AUC {metrics.auc:.4f} is below the floor of {model.floor.auc:.4f}": metrics.auc
        < model.floor.auc,
        f"loses up to {entry.loss.high:.4f} AUC (tolerance {optimise.tolerance:g})": not entry.loss.high
        <= optimise.tolerance
        and entry.loss.estimate != 0,
        f"differs by {entry.parity.max_abs_difference:.2g} from its model (budget {allowed:.2g})": not (
            entry.parity.max_abs_difference <= allowed
        ),
        f"has {entry.bytes} bytes (budget {model.budget.bytes})": entry.bytes > model.budget.bytes,
        **{
            f"takes {entry.timing.ratio[size]:.2f} times the teacher's time for {size} rows "
            f"(limit {optimise.latency_ratio:g})": entry.timing.ratio[size] > optimise.latency_ratio
            for size in _JUDGED_SIZES
        },
    }
    return tuple(reason for reason, broken in checks.items() if broken)


def choose(entries: Sequence[Entry], alike: float) -> Entry:
    """Return the cheapest entry that was not refused; the one of the highest AUC if all were.

    Cheap is fast first, by ``Timing.cost``. Entries within ``alike`` of the fastest count as equally fast,
    so that noise does not choose, and among them the smallest wins.
    """
    standing = [entry for entry in entries if not entry.refusals]
    if not standing:
        return max(entries, key=lambda entry: (-entry.loss.estimate, entry.name == _TEACHER))
    limit = min(entry.timing.cost for entry in standing) * (1 + alike)
    fast = [entry for entry in standing if entry.timing.cost <= limit]
    return min(fast, key=lambda entry: (entry.bytes, entry.name))


def line(entry: Entry) -> str:
    """Return the entry in a line of the log."""
    times = "/".join(f"{entry.timing.latency[size].p50:.0f}" for size in SIZES)
    verdict = f"refused: {'; '.join(entry.refusals)}" if entry.refusals else "may be chosen"
    return (
        f"{entry.name}: AUC {entry.metrics.auc:.4f} (loss {entry.loss.estimate:.4f}, {entry.loss.low:.4f} to "
        f"{entry.loss.high:.4f}), {entry.bytes} bytes, "
        f"{times} µs for {'/'.join(map(str, SIZES))} rows; {verdict}"
    )
