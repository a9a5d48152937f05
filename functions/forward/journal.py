"""The function's log: one JSON line per request, which is its metrics too (CloudWatch's embedded format).

The metrics are those of the predict function, under the same names and dimensions, so that one graph shows
what both have answered. The model's own process writes none of them: each answered request is counted once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from time import time
from typing import Any

from .envelope import Counts
from .settings import Settings

Write = Callable[[str], object]

METRICS = [
    {"Name": "Records", "Unit": "Count"},
    {"Name": "Warnings", "Unit": "Count"},
    {"Name": "Latency", "Unit": "Milliseconds"},
]
AGE = {"Name": "ModelAge", "Unit": "None"}
"""Hours since the data were prepared that the model was made from."""


def write_stdout(line: str) -> None:
    """Write to whatever standard output is at the moment, in one go."""
    sys.stdout.write(line)
    sys.stdout.flush()


class Journal:
    """Writes about one endpoint. No value of a caller's record is ever written."""

    def __init__(self, settings: Settings, write: Write = write_stdout) -> None:
        self._write = write
        self._about = {
            "Environment": settings.environment,
            "Workload": settings.workload,
            "Endpoint": settings.endpoint,
        }

    def request(
        self, request_id: str, route: str | None, status: int, *, counts: Counts, seconds: float, **more: Any
    ) -> None:
        """Write the line of an answered request; ``seconds`` is the time from its event to its answer.

        ``more`` is what else whoever reads the log should know: the model's version, or why it is silent.
        """
        now = time()
        line = {
            "level": "INFO" if status < 500 else "ERROR",
            "message": "request",
            "request_id": request_id,
            "route": route,
            "status": status,
            **self._about,
            **more,
            "Records": counts.records,
            "Warnings": counts.warnings,
            "Latency": round(seconds * 1000, 3),
            **age(counts, now),
        }
        metrics = [*METRICS, AGE] if AGE["Name"] in line else METRICS
        self._write(json.dumps({**line, "_aws": directive(metrics, now)}, separators=(",", ":")) + "\n")


def age(counts: Counts, now: float) -> dict[str, float]:
    """Return how old the model is that answered; nothing where none did, or it does not tell."""
    return {} if counts.made_at is None else {"ModelAge": round((now - counts.made_at) / 3600, 2)}


def directive(metrics: list[dict[str, str]], now: float) -> Mapping[str, Any]:
    """Return what makes metrics of a line's members."""
    about = {"Namespace": "Millrace", "Dimensions": [["Environment", "Workload"]], "Metrics": metrics}
    return {"Timestamp": int(now * 1000), "CloudWatchMetrics": [about]}
