"""Publishes what a packaging job's contest found, from the bundle that it wrote.

    python -m benchmarks.contest FOLDER

FOLDER holds a bundle with its ``contest.json`` and ``verdict.json``; the job has measured, this only tells.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.charts import Bar, Chart, Limit
from benchmarks.page import Section, publish

Entry = Mapping[str, Any]
HEADER = (
    "candidate",
    "validation AUC",
    "AUC lost (95 %)",
    "kB",
    "µs, 1 row",
    "µs, 32 rows",
    "µs, 256 rows",
    "verdict",
)
HALF, LOSS, FLOOR, SMALLER = Limit("≤", 0.5), Limit("≤", 0.003), Limit("≥", 0.715), Limit("≥", 3.0)


def main() -> None:
    """Read the bundle and write the page's section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    contest, verdict = (json.loads((folder / name).read_text()) for name in ("contest.json", "verdict.json"))
    publish(section(contest, verdict))


def section(contest: Mapping[str, Any], verdict: Mapping[str, Any]) -> Section:
    """Return the section for the two documents of one bundle."""
    entries = {entry["name"]: entry for entry in contest["candidates"]}
    teacher, winner = entries["teacher"], entries[contest["winner"]]
    return Section(
        key="contest",
        title="The contest of candidates",
        command="python -m benchmarks.contest FOLDER",
        prose=(
            "What the packaging job made of the flights' teacher, measured by the job itself on the "
            "validation split: all on the same rows, in turns, on one thread, through ONNX Runtime's Python "
            f"binding with rows bound. The test split was read {_times(verdict['metrics']['test_reads'])}, "
            "after the choice. Other work of the machine is in the times; ratios were taken round by round."
        ),
        header=HEADER,
        rows=tuple(_row(entry, entry is winner) for entry in entries.values()),
        charts=(
            Chart(
                title="The shipped model as a share of the teacher", unit="×", bars=_shares(winner, teacher)
            ),
            Chart(title="AUC of the shipped model", bars=_accuracies(winner, teacher, verdict["metrics"])),
            Chart(
                title="How many times smaller in 8 bits", unit="×", bars=_smaller(entries.values(), teacher)
            ),
        ),
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _row(entry: Entry, won: bool) -> tuple[str, ...]:
    loss, times = entry["auc_loss"], entry["microseconds"]
    return (
        entry["name"],
        f"{entry['metrics']['auc']:.4f}",
        f"{loss['estimate']:.4f} ({loss['low']:.4f} to {loss['high']:.4f})",
        f"{entry['bytes'] / 1000:.0f}",
        *(f"{times[rows]['p50']:.1f}" for rows in ("1", "32", "256")),
        "**shipped**" if won else "; ".join(entry["refusals"]) or "good, but not the cheapest",
    )


def _shares(winner: Entry, teacher: Entry) -> tuple[Bar, ...]:
    ratios = winner["ratio_to_teacher"]
    return (
        Bar(name="bytes", value=winner["bytes"] / teacher["bytes"], limit=HALF),
        Bar(name="time for 1 row", value=ratios["1"], limit=HALF),
        Bar(name="time for 256 rows", value=ratios["256"], limit=HALF),
    )


def _accuracies(winner: Entry, teacher: Entry, found: Mapping[str, float]) -> tuple[Bar, ...]:
    lost = max(0.0, teacher["metrics"]["auc"] - winner["metrics"]["auc"])
    return (
        Bar(name="on validation", value=found["validate_auc"], limit=FLOOR),
        Bar(name="on test", value=found["test_auc"], limit=FLOOR),
        Bar(name="lost against the teacher", value=lost, limit=LOSS),
    )


def _smaller(entries: Iterable[Entry], teacher: Entry) -> tuple[Bar, ...]:
    graph = "model.onnx"
    return tuple(
        Bar(name=entry["name"], value=teacher["files"][graph] / entry["files"][graph], limit=SMALLER)
        for entry in entries
        if entry["name"].startswith("int8")
    )


if __name__ == "__main__":
    main()
