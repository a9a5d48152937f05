"""What collecting single records of several callers into one run could save, were collecting itself free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

import msgspec

from benchmarks.predict_overhead import full_records
from benchmarks.rounds import Spread, spread
from functions.predict.answers import JsonAnswer
from functions.predict.bundle import Bundle
from functions.predict.json_form import JsonForm
from functions.predict.kernel import load
from functions.predict.layout import Layout
from functions.predict.predictor import Predictor

CALLERS = 8
ROUNDS = 400
BLOCKS = 20
QUOTED = '"0a1b2c3d0a1b2c3d0a1b2c3d0a1b2c3d"'


@dataclass(frozen=True)
class Batching:
    """``share``: the time of ``CALLERS`` records run together, as a share of that one by one.

    ``saved`` is microseconds for each record. ``apart`` is how far the same record's probability differs.
    """

    share: Spread
    saved: float
    apart: float


def measure(bundle: Bundle) -> Batching:
    """Time decoding, running and writing eight callers' single records, in turn one by one and together."""
    bodies = [msgspec.json.encode({"records": [one]}) for one in full_records(bundle, CALLERS)]
    single, together = one_by_one(bundle, bodies), collected(bundle, bodies)
    times = [(timed(single), timed(together)) for _ in range(ROUNDS)][ROUNDS // 10 :]
    size = len(times) // BLOCKS
    blocks = [times[start : start + size] for start in range(0, size * BLOCKS, size)]
    shares = [median(b for _, b in block) / median(a for a, _ in block) for block in blocks]
    saved = median(a for a, _ in times) - median(b for _, b in times)
    apart = max(abs(a - b) for a, b in zip(single(), together(), strict=True))
    return Batching(spread(shares), saved / 1000 / CALLERS, apart)


def one_by_one(bundle: Bundle, bodies: list[bytes]) -> Callable[[], list[float]]:
    """Return the work as the server does it: each record answered by itself."""
    predictor = Predictor(bundle)

    def work() -> list[float]:
        found = []
        for body in bodies:
            predictor.predict(predictor.json, body, QUOTED)
            found.append(bundle.model.last(1)[0])
        return found

    return work


def reader(bundle: Bundle, start: int, end: int) -> JsonForm:
    """Return what reads one record into the model's memory from ``start`` to ``end``."""
    limits = msgspec.structs.replace(bundle.manifest.limits, records=1)
    layout = Layout(msgspec.structs.replace(bundle.manifest, limits=limits))
    rows = bundle.model.rows[start:end]
    return JsonForm(layout, rows, load(layout, rows)[0])


def collected(bundle: Bundle, bodies: list[bytes]) -> Callable[[], list[float]]:
    """Return the same work with one run for all: each record has a row of its own."""
    layout, write = Layout(bundle.manifest), JsonAnswer(bundle.manifest).one
    places = range(0, len(bodies) * layout.row.size, layout.row.size)
    forms = [reader(bundle, place, place + layout.row.size) for place in places]

    def work() -> list[float]:
        for form, body in zip(forms, bodies, strict=True):
            form.ordinary(body)
        found = bundle.model.run(len(bodies))
        for probability in found:
            write(QUOTED, probability)
        return found

    return work


def timed(work: Callable[[], object]) -> int:
    """Return the nanoseconds of one call; the first of two fills the caches."""
    work()
    started = perf_counter_ns()
    work()
    return perf_counter_ns() - started
