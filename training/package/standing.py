"""The contest in words and cells, for the card and the report alike."""

from __future__ import annotations

import math

from training.package.contest import Contest, Entry
from training.package.timing import SIZES

HEADER = (
    "candidate",
    "verdict",
    "AUC",
    "AUC lost (95 %)",
    "log loss",
    "calibration error",
    "bytes",
    *(f"µs, {size} {'row' if size == 1 else 'rows'} (p99)" for size in SIZES),
    "cost",
    "load, ms",
    "parity",
)


def cells(contest: Contest, entry: Entry) -> list[str]:
    """Return what stands in the entry's row under ``HEADER``."""
    timing, metrics = entry.timing, entry.metrics
    return [
        entry.name,
        status(contest, entry),
        f"{metrics.auc:.4f}",
        interval(entry),
        f"{metrics.log_loss:.4f}",
        f"{metrics.calibration_error:.4f}",
        f"{entry.bytes:,}".replace(",", " "),
        *(f"{timing.latency[size].p50:.1f} ({timing.latency[size].p99:.1f})" for size in SIZES),
        f"{timing.cost:.2f}",
        f"{timing.load:.1f}",
        f"{entry.parity.max_abs_difference:.1g}",
    ]


def interval(entry: Entry) -> str:
    """Return the AUC lost with the bounds of its interval."""
    loss = entry.loss
    if loss.estimate == loss.low == loss.high == 0:
        return "the best"
    if not math.isfinite(loss.low + loss.high):
        return "unknown"
    return f"{loss.estimate:.4f} ({loss.low:.4f} to {loss.high:.4f})"


def status(contest: Contest, entry: Entry) -> str:
    """Return what became of the entry."""
    if entry.refusals:
        return "; ".join(entry.refusals)
    return "**chosen**" if contest.chose(entry) else "good, but not the cheapest"


def summary(contest: Contest) -> list[str]:
    """Return what was chosen and what it saves, a sentence an item."""
    winner, teacher = contest.winner, contest.teacher
    lines = [contest.obstacle or f"Chosen: {winner.name}, {winner.candidate.made}."]
    if winner is not teacher:
        lost = teacher.metrics.auc - winner.metrics.auc
        lines.append(
            f"Against the teacher it has {winner.bytes / teacher.bytes:.2f} times the bytes and takes "
            f"{winner.timing.ratio[1]:.2f} times as long for one record, {winner.timing.ratio[256]:.2f} "
            f"times for 256; its validation AUC is {abs(lost):.4f} {'lower' if lost > 0 else 'higher'}."
        )
    lines += [quantised(contest, entry) for entry in contest.entries if entry.candidate.quantised]
    lines += [f"WITHOUT {name}: {reason}." for name, reason in contest.absent.items()]
    return lines


def quantised(contest: Contest, entry: Entry) -> str:
    """Return how much smaller an 8-bit graph is than the one it was made from, and what that costs."""
    before, after = contest.teacher.candidate.graphs.batch, entry.candidate.graphs.batch
    lost = contest.teacher.metrics.auc - entry.metrics.auc
    return (
        f"{entry.name}: model.onnx is {len(before) / len(after):.1f} times smaller than the teacher's "
        f"({len(after)} of {len(before)} bytes); validation AUC {abs(lost):.4f} "
        f"{'lower' if lost > 0 else 'higher'}."
    )


def times(count: int) -> str:
    """Return ``count`` as in "read once"."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
