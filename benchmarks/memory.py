"""What a function's memory buys: latency, cold start and cost, from 128 MB to one whole processor.

    python -m benchmarks.memory FOLDER [--publish]

FOLDER holds a bundle as packaging writes it. The function runs in Lambda's runtime interface emulator, its
process held to the share of a processor that Lambda gives for the memory. Needs root, for the share.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean, median, quantiles
from typing import Any

from benchmarks.charts import Chart, Line
from benchmarks.cold_start import VARIABLES, layer_of, predict_code
from benchmarks.events import predict_event, read_manifest
from benchmarks.page import Section, publish
from benchmarks.quota import FULL_MB, group, share_of
from benchmarks.runtime import Function, Running, running
from infra.settings import Serving

SIZES = (128, 256, 384, 512, 768, 1024, FULL_MB)
MANY = 64
GB_SECOND = 0.0000133334
"""US dollars, arm64 in us-east-1, November 2026; Lambda bills whole milliseconds."""
MILLION_REQUESTS = 0.20
PAUSES = (0.021, 0.060)
"""Seconds between two requests: each meets a fresh share, as callers do who come now and then."""
DONE = re.compile(r"INVOKE RTDONE\(status: success, .*?duration: ([\d.]+)ms\)")
GATEWAY = 3.50
"""US dollars that API Gateway takes for a million requests."""
SNAPSHOT = 0.0000015046
"""US dollars for a GB-second of a version that SnapStart keeps."""
MONTH = 365.25 / 12 * 86400
DEARER, COLDER, FULLER = 1.02, 1.1, 0.6
"""The choice: a bill this near to the lowest, a start this near to those sizes' fastest, this full."""
log = logging.getLogger("benchmark")


@dataclass
class Measured:
    """What was seen at one size: milliseconds of starts, and per round those of requests; peak MB."""

    starts: list[float] = field(default_factory=list)
    spaced: dict[int, list[list[float]]] = field(default_factory=lambda: {1: [], MANY: []})
    packed: dict[int, list[list[float]]] = field(default_factory=lambda: {1: [], MANY: []})
    peak: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Point:
    """One size on the curve: milliseconds, MB, and US dollars for a million requests of one record."""

    memory: int
    start: float
    one: tuple[float, float]
    many: tuple[float, float]
    packed: tuple[float, float]
    """The 99th percentile of 1 and of 64 records without a pause between requests."""
    peak: float
    dollars: float


def main() -> None:
    """Measure, choose and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md, too")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    points = [point(size, seen) for size, seen in curve(asked.folder, asked.rounds, asked.requests).items()]
    found = section(points)
    for row in (found.header, *found.rows):
        log.info("  ".join(cell.rjust(16) for cell in row))
    log.info("chosen: %s MB", choose(points).memory)
    if asked.publish:
        publish(found)


def curve(folder: Path, rounds: int, requests: int) -> dict[int, Measured]:
    """Measure every size in each round, in turn, after a start that reads the files into memory."""
    manifest = read_manifest(folder)
    events = {size: predict_event(manifest, size) for size in (1, MANY)}
    seen = {size: Measured() for size in SIZES}
    with tempfile.TemporaryDirectory() as name:
        layer, code = layer_of(folder, Path(name) / "layer"), predict_code(Path(name) / "code")
        function = Function(code, "predict.app.handler", layer, VARIABLES)
        visit(function, FULL_MB, events, 1, Measured())
        for turn in range(rounds):
            for size in SIZES:
                visit(function, size, events, requests, seen[size])
            log.info("round %s of %s", turn + 1, rounds)
    return seen


def visit(
    function: Function, memory: int, events: dict[int, dict[str, Any]], requests: int, seen: Measured
) -> None:
    """Start the function with ``memory`` MB and send it requests: spaced out, then one after the other."""
    with (
        group(None) as free,
        group(share_of(memory)) as held,
        running(function, memory, held.command, free.command) as process,
    ):
        process.invoke(events[1])
        seen.starts.append(process.start_ms)
        for size, event in events.items():
            seen.spaced[size].append(durations(process, event, requests, PAUSES))
            seen.packed[size].append(durations(process, event, requests, (0, 0)))
        seen.peak = max(seen.peak, held.peak_mb())


def durations(
    process: Running, event: dict[str, Any], requests: int, pauses: tuple[float, float]
) -> list[float]:
    """Milliseconds that the runtime took for each of ``requests`` requests: what Lambda bills."""
    chance, before = Random(requests), len(DONE.findall(process.log.read_text()))  # noqa: S311 - pauses
    for _ in range(requests):
        time.sleep(chance.uniform(*pauses))
        process.invoke(event)
    return [float(text) for text in DONE.findall(process.log.read_text())[before:]]


def point(memory: int, seen: Measured) -> Point:
    """Sum up what was seen at one size."""
    return Point(
        memory=memory,
        start=median(seen.starts),
        one=(middle(seen.spaced[1]), high(seen.spaced[1])),
        many=(middle(seen.spaced[MANY]), high(seen.spaced[MANY])),
        packed=(high(seen.packed[1]), high(seen.packed[MANY])),
        peak=seen.peak,
        dollars=dollars(memory, seen.spaced[1]),
    )


def middle(rounds: Sequence[Sequence[float]]) -> float:
    """The median over all rounds."""
    return median([value for values in rounds for value in values])


def high(rounds: Sequence[Sequence[float]]) -> float:
    """The 99th percentile of the middle round: a neighbour's burst in one of them is not the function's."""
    return median([quantiles(values, n=100, method="inclusive")[-1] for values in rounds])


def dollars(memory: int, rounds: Sequence[Sequence[float]]) -> float:
    """US dollars that Lambda takes for a million requests that last as long as those in ``rounds``."""
    billed_seconds = median([fmean(map(math.ceil, values)) for values in rounds]) / 1000
    return MILLION_REQUESTS + 1e6 * billed_seconds * memory / 1024 * GB_SECOND


def choose(points: Sequence[Point]) -> Point:
    """The smallest size that starts about as fast as any whose bill is about the lowest.

    Raises ValueError where the function needs more memory than any of those has.
    """
    lowest = min(bill(one) for one in points)
    cheap = [one for one in points if bill(one) <= DEARER * lowest and one.peak <= FULLER * one.memory]
    if not cheap:
        raise ValueError("the function fills every size that costs little more than the cheapest; add sizes")
    fastest = min(one.start for one in cheap)
    return min((one for one in cheap if one.start <= COLDER * fastest), key=lambda one: one.memory)


def bill(one: Point) -> float:
    """US dollars for a million requests with API Gateway before the function."""
    return one.dollars + GATEWAY


def section(points: Sequence[Point]) -> Section:
    """What the page says of it."""
    chosen = choose(points).memory
    return Section(
        key="memory",
        title="Memory, latency and cost",
        command="python -m benchmarks.memory FOLDER --publish",
        prose=prose(points, chosen),
        header=HEADER,
        rows=tuple(row(one, chosen) for one in points),
        charts=charts(points),
    )


HEADER = (
    "memory MB",
    "processor",
    "$ a million",
    "1 record p50 ms",
    "p99",
    "64 records p50 ms",
    "p99",
    "p99 without pause: 1",
    "64",
    "start ms",
)


def prose(points: Sequence[Point], chosen: int) -> str:
    """What the table and the pictures cannot say."""
    return PROSE.format(
        default=Serving().memory_mb,
        chosen=chosen,
        fuller=FULLER,
        peak=max(one.peak for one in points),
        spread=max(one.dollars for one in points) - min(one.dollars for one in points),
        bill=max(bill(one) for one in points),
        snapshot=SNAPSHOT * MONTH * chosen / 1024,
    )


def row(one: Point, chosen: int) -> tuple[str, ...]:
    """A row of the table."""
    mark = " **(chosen)**" if one.memory == chosen else ""
    times = (*one.one, *one.many, *one.packed)
    return (
        f"{one.memory}{mark}",
        f"{share_of(one.memory):.2f}",
        f"{one.dollars:.3f}",
        *(f"{value:.1f}" for value in times),
        f"{one.start:.0f}",
    )


def charts(points: Sequence[Point]) -> tuple[Chart, ...]:
    """Latency, cost and cold start over memory."""

    def line(name: str, values: Sequence[float]) -> Line:
        return Line(
            name=name, points=tuple((one.memory, value) for one, value in zip(points, values, strict=True))
        )

    latency = (
        line("1 record p50", [one.one[0] for one in points]),
        line("1 record p99", [one.one[1] for one in points]),
        line("64 records p50", [one.many[0] for one in points]),
        line("64 records p99", [one.many[1] for one in points]),
    )
    cost = (line("a million requests", [one.dollars for one in points]),)
    start = (line("start", [one.start for one in points]),)
    return (
        Chart(title="Latency", unit="ms", lines=latency, across="memory MB"),
        Chart(title="Cost of a million requests of one record", unit="$", lines=cost, across="memory MB"),
        Chart(title="Cold start", unit="ms", lines=start, across="memory MB"),
    )


PROSE = """
`serving.memory_mb` is {default} by default; this curve chooses {chosen}. The bill
hardly depends on it: between the smallest size and the largest lie ${spread:.2f} for a million requests,
of ${bill:.2f} with API Gateway, because a request takes a
millisecond or two. What memory buys is a fast start, and calm where requests follow each other without a
pause. So the choice is the smallest size that starts within a tenth of the fastest, of those that add no
more than 2 % to the lowest bill, and is at most {fuller:.0%} full (the function's process peaked at
{peak:.0f} MB). Where SnapStart keeps a version, it takes ${snapshot:.2f} a month for that size; a restore
does not start Python, so where that is too much, less memory may do.

Lambda gives a function a share of a processor by its memory, one whole at 1769 MB; beyond that there is
nothing to win, for the function is one thread. Here the function's process is held to that share by the
same mechanism of the kernel: in every 20 ms it may run for its share of them, and stands still for the
rest. A request that needs less than that runs at full speed, which is why spaced requests (21 to 60 ms
apart, what a caller meets who comes now and then) are alike at every size; without a pause, an environment
that is never idle meets its limit. Durations are those that Lambda bills, from the runtime's taking a
request to its answer, at the emulator's side; the 99th percentile is the middle round's. A laptop's or a
neighbour's wake-ups are in it.

The start is the worst case: Lambda is known to give more processor while a function starts than its memory
buys, but does not promise it. Not in the figures: what Lambda does before Python starts, and starts in the
bill. The period of 20 ms is what others have observed on Lambda, not what AWS documents. This processor is
not Lambda's; prices are those of us-east-1 and arm64 in November 2026.
"""


if __name__ == "__main__":
    main()
