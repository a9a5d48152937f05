"""Distilled students: one narrow layer, fewer bends, taught by the teacher's probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from training.package.candidate import Candidate
from training.package.evaluate import torch_score
from training.package.export import export
from training.package.learn import Plan, learn
from training.package.workbench import Workbench
from training.train.encoding import Encoding, Number
from training.train.model import Tabular

_PEAK = 4e-3  # a narrow network bears a high rate


def make(bench: Workbench) -> Iterator[Candidate]:
    """Yield a student of each width in the settings."""
    for width in bench.settings.students:
        student = _learnt(bench, width)
        yield Candidate(
            name=f"distilled-{width}",
            made=f"one hidden layer of {width}, taught by the teacher on {_lessons(bench)}",
            graphs=export(student),
            reference=torch_score(student),
        )


def _learnt(bench: Workbench, width: int) -> Tabular:
    settings, trained = bench.settings, bench.trained
    torch.manual_seed(trained.training.seed)
    shape = replace(trained.training, hidden=(width,), dropout=0.0)
    student = Tabular(fewer_bends(trained.encoding, settings.student_bends), shape, trained.prior)
    plan = Plan(
        epochs=settings.epochs,
        peak=_PEAK,
        temperature=settings.temperature,
        seed=trained.training.seed,
        batch_rows=trained.training.batch_rows,
    )
    rows, odds = bench.lessons
    return learn(student, rows, odds, plan, f"distilled-{width}")


def _lessons(bench: Workbench) -> str:
    more = len(bench.lessons[0]) - len(bench.rows)
    return f"{len(bench.rows)} training rows and {more} recent ones without a label"


def fewer_bends(encoding: Encoding, bends: int) -> Encoding:
    """Return ``encoding`` with at most ``bends`` bends for each number, the outermost knots kept."""
    return replace(encoding, numbers=tuple(_thinned(number, bends + 1) for number in encoding.numbers))


def _thinned(number: Number, knots: int) -> Number:
    last = len(number.knots) - 1
    if last < knots:
        return number
    kept = sorted({round(place * last / (knots - 1)) for place in range(knots)})
    return replace(number, knots=tuple(number.knots[place] for place in kept))
