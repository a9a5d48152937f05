"""What Prometheus is told, in its text format. Counting costs the prediction path less than a microsecond."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0)
"""Upper bounds of the histogram's buckets in seconds; one record takes tens of microseconds."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "millrace_requests": "Requests answered.",
    "millrace_errors": "Requests answered with a status of 400 or more.",
    "millrace_request_seconds": "Time from a request's last byte read to its answer written.",
    "millrace_records": "Records that were given a probability.",
    "millrace_warnings": "Fields of answered records that deserve a second look.",
    "millrace_bundle_refused": "Bundles that were not taken over because something was wrong with them.",
    "millrace_bundle_broken": "Processes whose newest bundle is refused: an older one answers, or none.",
    "millrace_model_info": "The model that answers.",
    "millrace_model_age_seconds": "Time since the data were prepared that the model was made from.",
    "process_resident_memory_bytes": "Memory of the process that is in RAM.",
    "process_cpu_seconds": "Processor time that the process has taken.",
    "process_start_time_seconds": "When the process started, in seconds since 1970.",
}
Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]
Total = Callable[[Mapping[str, float]], dict[str, float]]


class Series:
    """Answers of one route with one status."""

    def __init__(self) -> None:
        self.count = self.records = self.warnings = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def add(self, seconds: float, records: int, warnings: int) -> None:
        """Count one answer."""
        self.count += 1
        self.seconds += seconds
        self.records += records
        self.warnings += warnings
        self.buckets[bisect_left(BOUNDS, seconds)] += 1


class Metrics:
    """Counts of one process; ``total`` makes of them those of all processes, where there are several."""

    def __init__(self, total: Total | None = None) -> None:
        self._total = total
        self._series: dict[tuple[str, int], Series] = {}
        self.refused = 0
        self.broken = False
        self._started = started_at()

    def series(self, route: str, status: int) -> Series:
        """Return the series of a route and a status."""
        return self._series.setdefault((route, status), Series())

    def counts(self) -> dict[str, float]:
        """Return everything that only grows, by its full name in the text format: what may be summed."""
        own = {f"{name}{braces(labels)}": value for name, labels, value in self._counts()}
        return self._total(own) if self._total else own

    def publish(self) -> None:
        """Tell the other processes what was counted, where there are some."""
        if self._total:
            self.counts()

    def _counts(self) -> Iterator[Sample]:
        for (route, status), series in sorted(self._series.items()):
            named: Labels = (("route", route), ("status", str(status)))
            yield "millrace_requests_total", named, series.count
            if status >= 400:
                yield "millrace_errors_total", named, series.count
        for route in sorted({route for route, _ in self._series}):
            yield from self._histogram(route)
        everything = self._series.values()
        yield "millrace_records_total", (), sum(series.records for series in everything)
        yield "millrace_warnings_total", (), sum(series.warnings for series in everything)
        yield "millrace_bundle_refused_total", (), self.refused
        yield "millrace_bundle_broken", (), int(self.broken)
        yield "process_cpu_seconds_total", (), round(time.process_time(), 6)
        yield "process_resident_memory_bytes", (), resident_bytes()

    def _histogram(self, route: str) -> Iterator[Sample]:
        every = [series for (name, _), series in self._series.items() if name == route]
        total = 0
        for bound, found in zip(
            (*BOUNDS, "+Inf"), zip(*(s.buckets for s in every), strict=True), strict=True
        ):
            total += sum(found)
            yield "millrace_request_seconds_bucket", (("route", route), ("le", str(bound))), total
        yield "millrace_request_seconds_sum", (("route", route),), sum(series.seconds for series in every)
        yield "millrace_request_seconds_count", (("route", route),), total

    def text(self, model: tuple[str, str] | None, age: float | None) -> str:
        """Return all metrics; ``model`` is workload and version, ``age`` in seconds, None where unknown."""
        shown = self.counts()
        shown["process_start_time_seconds"] = round(self._started, 2)
        if model:
            shown[f"millrace_model_info{braces((('workload', model[0]), ('version', model[1])))}"] = 1
        if age is not None:
            shown["millrace_model_age_seconds"] = round(age, 1)
        return "".join(lines(shown))


def braces(labels: Labels) -> str:
    """Return labels as they stand behind a name; nothing where there are none."""
    pairs = ",".join(f'{name}="{escaped(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def escaped(value: str) -> str:
    """Return a label's value as the text format wants it."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def lines(samples: Mapping[str, float]) -> Iterable[str]:
    """Write samples below their families' headings."""
    by_family: dict[str, list[str]] = {}
    for name, value in samples.items():
        by_family.setdefault(family(name.partition("{")[0]), []).append(f"{name} {value:.17g}\n")
    for name, rows in by_family.items():
        kind, shown = kind_of(name)
        yield f"# HELP {shown} {HELP[name]}\n# TYPE {shown} {kind}\n"
        yield from rows


def family(name: str) -> str:
    """Return what ``name`` is a sample of."""
    for tail in ("_total", "_bucket", "_sum", "_count"):
        name = name.removesuffix(tail)
    return name


def kind_of(name: str) -> tuple[str, str]:
    """Return a family's kind, and its name as the text format has it."""
    if name == "millrace_request_seconds":
        return "histogram", name
    gauge = name.startswith("millrace_model") or name in (
        "millrace_bundle_broken",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    )
    return ("gauge", name) if gauge else ("counter", f"{name}_total")


def resident_bytes() -> int:
    """Return how much of this process's memory is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def started_at() -> float:
    """Return when this process started, in seconds since 1970."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    up = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")
