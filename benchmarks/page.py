"""The page ``docs/benchmarks.md``: every benchmark publishes a section; the page is made of all of them.

A section's facts stand in ``docs/benchmarks/<key>.json`` with the machine they were measured on, its charts
in ``docs/benchmarks/<key>.svg``. Publishing one leaves the others as they were and writes the page anew;
``python -m benchmarks.page`` only does the latter.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.charts import Bar, Chart, drawing, number

DOCS = Path(__file__).parents[1] / "docs"
ORDER = (
    "predict",
    "cold_start",
    "memory",
    "contest",
    "api_overhead",
    "servers",
    "carriers",
    "edge",
    "training",
    "training_gpu",
    "preprocessing",
)
"""Keys of sections in the page's order; others follow, by name."""
HEAD = """# Benchmarks

Written by the benchmarks themselves: to change this page, run one again. Ratios come first, because they
hold from machine to machine; seconds and microseconds belong to the machine named under them. Within a
section, what is compared was measured in turn, in one run. An interval holds the median with 95 % certainty;
fewer than six rounds cannot promise that, and show their lowest and highest instead.
"""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What one benchmark found. ``header`` and every one of ``rows`` have the same number of cells."""

    key: str
    title: str
    command: str
    """What to type to measure again."""
    prose: str
    """Markdown: what was compared, and what the figures do not say."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    charts: tuple[Chart, ...] = ()
    details: str = ""
    """Markdown: what stands below the table."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(
                    f"section {self.key}: row {row} has {len(row)} cells, the header {len(self.header)}; "
                    "give every row a cell for each column"
                )


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where and when a section was measured. ``memory`` is in GiB, ``date`` is UTC's."""

    processor: str
    cores: int
    memory: float
    python: str
    date: str

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory:.0f} GiB, "
            f"Python {self.python}, measured on {self.date}"
        )


@dataclass(frozen=True)
class Published:
    """A section as its file holds it."""

    section: Section
    machine: Machine


def publish(section: Section, docs: Path = DOCS) -> None:
    """Write the section's facts and charts below ``docs``, then the page. Raises OSError."""
    folder = docs / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    facts = msgspec.json.encode(Published(section, this_machine()))
    (folder / f"{section.key}.json").write_bytes(msgspec.json.format(facts, indent=1) + b"\n")
    if section.charts:
        (folder / f"{section.key}.svg").write_text(drawing(section.charts))
    write_page(docs)


def write_page(docs: Path = DOCS) -> None:
    """Write the page anew from the sections that are there. Raises OSError."""
    (docs / "benchmarks.md").write_text(page(read(docs / "benchmarks")))


def read(folder: Path) -> list[Published]:
    """Read every section in ``folder``. Raises msgspec.ValidationError where a file is no section."""
    return [msgspec.json.decode(file.read_bytes(), type=Published) for file in sorted(folder.glob("*.json"))]


def page(published: Iterable[Published]) -> str:
    """Return the whole page as Markdown."""
    ordered = sorted(published, key=lambda one: place(one.section.key))
    parts = [HEAD, *summary(ordered), *(text(one) for one in ordered)]
    return "\n".join(parts)


def place(key: str) -> tuple[int, str]:
    """Return what sections are sorted by: known ones as in ``ORDER``, the others after them by name."""
    return (ORDER.index(key) if key in ORDER else len(ORDER), key)


def summary(ordered: Iterable[Published]) -> list[str]:
    """Return the table of everything that has a bar to keep, or nothing if nothing has."""
    rows = [
        (
            f"[{one.section.title}](#{anchor(one.section.title)})",
            f"{chart.title}: {bar.name}",
            f"{measured(bar)} {chart.unit}".strip(),
            *verdict(bar),
        )
        for one in ordered
        for chart in one.section.charts
        for bar in chart.bars
        if bar.limit is not None
    ]
    return [table(("benchmark", "what", "measured", "bar", ""), rows)] if rows else []


def text(one: Published) -> str:
    """Return one section as Markdown: what it says, its picture, its table, how to measure it again."""
    section = one.section
    picture = [f"![{section.title}](benchmarks/{section.key}.svg)\n"] if section.charts else []
    parts = [
        f"## {section.title}\n",
        f"{section.prose.strip()}\n",
        *picture,
        table(section.header, section.rows),
        *([f"{section.details.strip()}\n"] if section.details else []),
        f"Again: `{section.command}`. Machine: {one.machine}.\n",
    ]
    return "\n".join(parts)


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; columns of figures are set right."""
    body = list(rows)
    columns = zip(*body, strict=True) if body else ((name,) for name in header)
    rule = tuple("---:" if all(map(figure, column)) else "---" for column in columns)
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (header, rule, *body))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def figure(cell: str) -> bool:
    """Whether a cell holds a figure, or a dash in its place."""
    return cell[:1].isdigit() or cell.startswith(("≤", "≥", "–", "-"))


def measured(bar: Bar) -> str:
    """Return a bar's value with its interval, as in ``0.83 (0.81–0.85)``; one round has no interval."""
    if bar.low is None or bar.high is None or bar.low == bar.high:
        return number(bar.value)
    return f"{number(bar.value)} ({number(bar.low)}–{number(bar.high)})"


def verdict(bar: Bar) -> tuple[str, str]:
    """Return the bar's limit and whether it is kept: by the whole interval, or by the median alone."""
    assert bar.limit is not None
    if not bar.limit.kept(bar.value):
        return str(bar.limit), "**missed**"
    ends = (bar.value if end is None else end for end in (bar.low, bar.high))
    return str(bar.limit), "kept" if all(map(bar.limit.kept, ends)) else "kept by the median"


def anchor(title: str) -> str:
    """Return the link that Markdown renderers give a heading."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def this_machine() -> Machine:
    """Describe the machine that this runs on, now."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Machine(
        processor=processor(),
        cores=os.cpu_count() or 1,
        memory=round(memory, 1),
        python=platform.python_version(),
        date=datetime.now(UTC).date().isoformat(),
    )


def processor(source: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, or its kind where the system keeps no list of processors."""
    if source.is_file():
        for line in source.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"}:
                return value.strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    write_page()
