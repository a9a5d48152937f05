"""The function's log: one JSON line per request, which is its metrics too (CloudWatch's embedded format).

No value of a caller's record is ever written: not in a line, not in a traceback.
"""

from __future__ import annotations

import sys
import time
import traceback
from types import TracebackType
from typing import Any

import msgspec

METRICS = [
    {"Name": "Records", "Unit": "Count"},
    {"Name": "Warnings", "Unit": "Count"},
    {"Name": "Latency", "Unit": "Milliseconds"},
]


class Journal:
    """Writes lines about one environment's model. ``version`` is None while nothing is released."""

    def __init__(self, environment: str, workload: str, version: str | None) -> None:
        self._about = {"Environment": environment, "Workload": workload, "version": version}
        self._directive = [
            {"Namespace": "Millrace", "Dimensions": [["Environment", "Workload"]], "Metrics": METRICS}
        ]

    def request(
        self, request_id: str, route: str, status: int, *, records: int, warnings: int, seconds: float
    ) -> None:
        """Write the line of an answered request; ``seconds`` is the time spent on it in here."""
        write(
            {
                "level": "INFO",
                "message": "request",
                "request_id": request_id,
                "route": route,
                "status": status,
                **self._about,
                "Records": records,
                "Warnings": warnings,
                "Latency": round(seconds * 1000, 3),
                "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": self._directive},
            }
        )

    def failure(self, request_id: str, route: str, error: BaseException) -> None:
        """Write where ``error`` came from. Its message stays out: it may quote the caller's values."""
        write(
            {
                "level": "ERROR",
                "message": "unexpected error",
                "request_id": request_id,
                "route": route,
                **self._about,
                "error": type(error).__name__,
                "traceback": frames(error.__traceback__),
            }
        )


def frames(trace: TracebackType | None) -> list[str]:
    """Return the frames of a traceback, outermost first, as "file:line function"."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def write(line: dict[str, Any]) -> None:
    """Write one line in one go, so that lines of one function never mix."""
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()
