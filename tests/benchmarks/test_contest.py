"""The contest's section says who was shipped, and what that kept."""

from __future__ import annotations

from typing import Any

from benchmarks.contest import section


def entry(name: str, auc: float, size: int, time: float, refusals: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "refusals": list(refusals),
        "files": {"model.onnx": size, "single.onnx": size},
        "bytes": 2 * size,
        "metrics": {"auc": auc},
        "auc_loss": {"estimate": 0.001, "low": 0.0, "high": 0.002},
        "microseconds": {rows: {"p50": time, "p99": 2 * time} for rows in ("1", "32", "256")},
        "ratio_to_teacher": dict.fromkeys(("1", "32", "256"), time / 20),
    }


def test_given_a_contest_then_the_shipped_model_is_held_against_its_teacher() -> None:
    candidates = [
        entry("teacher", 0.75, 4000, 20.0),
        entry("small", 0.749, 1000, 12.0),
        entry("int8-dynamic", 0.74, 1000, 30.0, ("too slow",)),
    ]
    verdict = {"metrics": {"validate_auc": 0.749, "test_auc": 0.71, "test_reads": 1}}

    told = section({"winner": "small", "candidates": candidates}, verdict)

    assert [row[0] for row in told.rows] == ["teacher", "small", "int8-dynamic"]
    assert [row[-1] for row in told.rows] == ["good, but not the cheapest", "**shipped**", "too slow"]
    bars = {bar.name: bar for chart in told.charts for bar in chart.bars}
    kept = {name: bar.limit.kept(bar.value) for name, bar in bars.items() if bar.limit}
    assert kept == {
        "bytes": True,
        "time for 1 row": False,
        "time for 256 rows": False,
        "on validation": True,
        "on test": False,
        "lost against the teacher": True,
        "int8-dynamic": True,
    }
