"""How fast candidates answer: on one thread each, in turns, so that a busy moment hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.package.graphs import Graphs
from training.package.progress import Progress
from training.package.scoring import Scorer

_CALLS: Mapping[int, int] = {1: 40, 32: 10, 256: 4}
"""Rows of a call → calls of a round."""
SIZES = tuple(_CALLS)
_SAMPLES = 10
_LOADS = 5


Times = NDArray[np.float64]
"""Microseconds, [rounds, calls]."""


@dataclass(frozen=True)
class Latency:
    """Microseconds of one call: the median and the 99th percentile over all rounds."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Timing:
    """What was measured of one candidate. ``load`` is the time to open its graphs, in milliseconds.

    ``latency`` and ``ratio`` are by rows of a call. A ratio is the median over rounds of the candidate's
    median over the teacher's in the same round: what slows a round down slows both.
    """

    latency: Mapping[int, Latency]
    ratio: Mapping[int, float]
    load: float

    @property
    def cost(self) -> float:
        """Time relative to the teacher's: the geometric mean of one record's and of 256 records' ratio.

        One record stands for callers who wait, 256 for what a batch costs; neither may buy the other.
        """
        return float(np.sqrt(self.ratio[1] * self.ratio[256]))


def time_all(
    graphs: Mapping[str, Graphs], teacher: str, rows: NDArray[np.float32], rounds: int
) -> dict[str, Timing]:
    """Time every candidate on ``rows`` [N, n + c] for ``rounds`` rounds; ratios are against ``teacher``."""
    samples = {size: rows[np.arange(size * _SAMPLES) % len(rows)] for size in SIZES}
    loads = _loads(graphs)
    times = _rounds({name: _calls(made, samples) for name, made in graphs.items()}, rounds)
    return {name: _timing(times[name], times[teacher], loads[name]) for name in graphs}


Calls = Sequence[Callable[[], None]]


def _calls(graphs: Graphs, samples: Mapping[int, NDArray[np.float32]]) -> dict[int, Calls]:
    """Return for each size a call for each sample of so many rows."""
    batch, single = Scorer(graphs.batch, threads=1), Scorer(graphs.single, threads=1)
    return {
        size: [(single if size == 1 else batch).bound(piece) for piece in np.split(sample, _SAMPLES)]
        for size, sample in samples.items()
    }


def _loads(graphs: Mapping[str, Graphs]) -> dict[str, float]:
    loads: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(_LOADS):
        for name, made in graphs.items():
            began = time.perf_counter_ns()
            for content in made.files.values():
                Scorer(content, threads=1)
            loads[name].append((time.perf_counter_ns() - began) / 1e6)
    return {name: float(np.median(found)) for name, found in loads.items()}


def _rounds(candidates: Mapping[str, Mapping[int, Calls]], rounds: int) -> dict[str, dict[int, Times]]:
    """Return the microseconds of every call, [rounds, calls] for each candidate and size."""
    times = {name: {size: np.empty((rounds, count)) for size, count in _CALLS.items()} for name in candidates}
    progress, names = Progress("timing, rounds", rounds), list(candidates)
    for turn in range(-1, rounds):  # the first turn warms up
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for size, calls in candidates[name].items():
                found = [_timed(calls[call % len(calls)]) for call in range(_CALLS[size])]
                if turn >= 0:
                    times[name][size][turn] = found
        progress.tell(turn + 1)
    return times


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began) / 1e3


def _timing(own: Mapping[int, Times], teacher: Mapping[int, Times], load: float) -> Timing:
    return Timing(
        latency={size: Latency(*np.percentile(calls, (50, 99)).tolist()) for size, calls in own.items()},
        ratio={
            size: float(np.median(np.median(calls, axis=1) / np.median(teacher[size], axis=1)))
            for size, calls in own.items()
        },
        load=load,
    )
