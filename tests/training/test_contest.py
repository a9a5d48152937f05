"""Who wins the contest, and who may not take part: pure decisions from figures."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from contract.schema import Budget, Floor, Model, Optimise
from training.package.bootstrap import Interval, Ranking, auc_losses
from training.package.candidate import Candidate
from training.package.contest import Entry, choose, refusals
from training.package.gate import Parity
from training.package.graphs import Graphs
from training.package.pareto import Point, draw, frontier
from training.package.timing import Latency, Timing
from training.train.metrics import Metrics, auc

MODEL = Model(
    positive="late",
    negative="on time",
    floor=Floor(auc=0.6),
    budget=Budget(bytes=1000, parity=1e-5),
    optimise=Optimise(tolerance=0.003, latency_ratio=1.5, quantised_parity=0.1),
)


def entry(name: str = "student", size: int = 100, cost: float = 1.0, **changes: Any) -> Entry:
    """An entry that breaks no limit: ``cost`` is its time relative to the teacher's for any size."""
    timing = Timing(
        latency={rows: Latency(10.0, 20.0) for rows in (1, 32, 256)},
        ratio=dict.fromkeys((1, 32, 256), cost),
        load=1.0,
    )
    candidate = Candidate(
        name=name,
        made="by hand",
        graphs=Graphs(batch=b"b" * size, single=b"b" * size),
        reference=lambda rows: rows[:, 0],
        quantised=changes.pop("quantised", False),
    )
    good = Entry(
        candidate=candidate,
        metrics=Metrics(auc=0.7, log_loss=0.4, brier=0.1, calibration_error=0.01, rows=100),
        parity=Parity(max_abs_difference=1e-6, rows=100),
        loss=Interval(0.001, -0.001, 0.002),
        timing=timing,
    )
    return replace(good, **changes)


def metrics(value: float) -> Metrics:
    return Metrics(auc=value, log_loss=0.4, brier=0.1, calibration_error=0.01, rows=100)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (entry(loss=Interval(0.002, 0.001, 0.0031)), "loses up to 0.0031 AUC (tolerance 0.003)"),
        (entry(loss=Interval(0.002, -math.inf, math.inf)), "loses up to inf AUC (tolerance 0.003)"),
        (entry(metrics=metrics(0.59)), "validation AUC 0.5900 is below the floor of 0.6000"),
        (entry(metrics=metrics(math.nan)), "its validation AUC is undefined: all rows are of one class"),
        (
            entry(parity=Parity(max_abs_difference=2e-5, rows=9)),
            "differs by 2e-05 from its model (budget 1e-05)",
        ),
        (
            entry(parity=Parity(max_abs_difference=math.inf, rows=9)),
            "differs by inf from its model (budget 1e-05)",
        ),
        (
            entry(parity=Parity(max_abs_difference=0.2, rows=9), quantised=True),
            "differs by 0.2 from its model (budget 0.1)",
        ),
        (entry(size=1001), "has 1001 bytes (budget 1000)"),
    ],
)
def test_a_broken_limit_refuses(refused: Entry, reason: str) -> None:
    assert refusals(refused, MODEL) == (reason,)


def test_a_slower_one_is_refused_for_each_size_that_counts() -> None:
    one, many = refusals(entry(cost=1.6), MODEL)
    assert one == "takes 1.60 times the teacher's time for 1 rows (limit 1.5)"
    assert many == "takes 1.60 times the teacher's time for 256 rows (limit 1.5)"


def test_who_keeps_every_limit_is_not_refused() -> None:
    assert refusals(entry(), MODEL) == ()
    rounded = entry(parity=Parity(max_abs_difference=0.05, rows=9), quantised=True)
    assert refusals(rounded, MODEL) == (), "rounding is the nature of 8 bits"


def test_the_best_is_not_refused_for_what_nobody_knows() -> None:
    """With few rows an interval may be wide; the best loses nothing against itself."""
    assert refusals(entry(loss=Interval(0.0, -math.inf, math.inf)), MODEL) == ()


@pytest.mark.parametrize(
    ("entries", "winner"),
    [
        ([entry("teacher", 900, 1.0), entry("a", 500, 0.5), entry("b", 600, 0.2)], "b"),
        ([entry("teacher", 900, 1.0), entry("a", 500, 0.24), entry("b", 600, 0.2)], "a"),
        ([entry("teacher", 900, 1.0), entry("a", 500, 0.1, refusals=("no",)), entry("b", 600, 0.9)], "b"),
        ([entry("z", 500, 0.2), entry("a", 500, 0.21)], "a"),
    ],
    ids=["the fastest", "the smaller of two about as fast", "not a refused one", "by name among equals"],
)
def test_the_cheapest_wins(entries: list[Entry], winner: str) -> None:
    assert choose(entries, alike=0.25).name == winner
    assert choose(entries[::-1], alike=0.25).name == winner, "whatever the order"


def test_where_all_are_refused_the_most_accurate_is_shown() -> None:
    worse = entry("a", refusals=("no",), loss=Interval(0.01, 0, 0.02))
    best = entry("teacher", refusals=("no",), loss=Interval(0.0, 0, 0))
    assert choose([worse, best], alike=0.25).name == "teacher"


def scores(rows: int, noise: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = (generator.random(rows) < 0.3).astype(np.float32)
    return labels, (labels + generator.normal(0, noise, rows)).astype(np.float32)


def test_a_weighted_auc_is_that_of_rows_taken_so_often() -> None:
    # Given scores with many ties
    labels, column = scores(300, 1.0)
    column = np.round(column, 1)
    weights = np.random.default_rng(2).poisson(1, 300)
    # When rows are weighted, or repeated
    weighted = Ranking(labels, column).auc(weights.astype(float))
    repeated = auc(np.repeat(labels, weights), np.repeat(column, weights))
    # Then it is the same
    assert weighted == pytest.approx(repeated, abs=1e-12)


def test_a_loss_has_an_interval_that_knows_it_is_paired() -> None:
    # Given a good model, the same with a little noise, and one unlike it
    labels, good = scores(4000, 0.8)
    close = good + np.random.default_rng(5).normal(0, 0.05, 4000).astype(np.float32)
    _, other = scores(4000, 1.2)
    # When their losses are estimated
    losses = auc_losses(labels, {"good": good, "close": close, "other": other}, "good", draws=60)
    # Then
    assert losses["good"] == Interval(0.0, 0.0, 0.0)
    assert losses["close"].high - losses["close"].low < 0.003 < losses["other"].low
    assert losses["other"].low < losses["other"].estimate < losses["other"].high
    assert losses == auc_losses(labels, {"good": good, "close": close, "other": other}, "good", draws=60)


def test_a_split_of_one_class_tells_nothing_of_losses() -> None:
    column = np.linspace(0, 1, 50, dtype=np.float32)
    losses = auc_losses(np.zeros(50, np.float32), {"a": column}, "a", draws=20)
    assert (losses["a"].low, losses["a"].high) == (-math.inf, math.inf)


def point(name: str, cost: float, value: float, chosen: bool = False) -> Point:
    return Point(
        name=name, cost=cost, value=value, low=value, high=value, chosen=chosen, refused=name == "refused"
    )


def test_the_frontier_is_what_nothing_cheaper_beats() -> None:
    points = [point("dear", 9, 0.9), point("bad", 5, 0.6), point("cheap", 1, 0.7), point("same", 3, 0.7)]
    assert [found.name for found in frontier(points)] == ["cheap", "dear"]


@pytest.mark.parametrize(
    "points",
    [
        [point("teacher", 30, 0.75), point("a<b", 10, 0.74, chosen=True), point("refused", 3, 0.6)],
        [point("alone", 1, 0.5, chosen=True)],
    ],
)
def test_a_picture_is_sound_and_shows_every_candidate_inside_its_frame(points: list[Point]) -> None:
    svg = draw(points, "accuracy", "µs")
    root = ElementTree.fromstring(svg)
    texts = [text.text for text in root.iter("text")]
    assert {shown.name for shown in points} <= set(texts)
    marks = [mark for mark in root.iter("circle") if mark.get("class") != "ring"]
    assert len(marks) == len(points)
    assert all(
        0 < float(mark.get("cx", "0")) < 560 and 0 < float(mark.get("cy", "0")) < 360 for mark in marks
    )
