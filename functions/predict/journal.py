"""The function's log: one JSON line per request, which is its metrics too (CloudWatch's embedded format).

No value of a caller's record is ever written: not in a line, not in a traceback.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import msgspec

Write = Callable[[bytes], object]

METRICS = [
    {"Name": "Records", "Unit": "Count"},
    {"Name": "Warnings", "Unit": "Count"},
    {"Name": "Latency", "Unit": "Milliseconds"},
]
AGE = {"Name": "ModelAge", "Unit": "None"}
"""Hours since the data were prepared that the model was made from."""


def write_stdout(line: bytes) -> None:
    """Write to whatever standard output is at the moment."""
    sys.stdout.write(line.decode())
    sys.stdout.flush()


class Journal:
    """Writes lines about one environment's model, each in one go, so that lines never mix.

    ``version`` is None while nothing is released; ``made_at`` (seconds since 1970) is None where the bundle
    does not tell the age of its data.
    """

    def __init__(
        self, environment: str, workload: str, version: str | None, made_at: float | None, write: Write
    ) -> None:
        self._write = write
        self._made_at = made_at
        self._about = {"Environment": environment, "Workload": workload, "version": version}
        self._common = _text(self._about)[1:-1]
        metrics = METRICS if made_at is None else [*METRICS, AGE]
        directive = {"Namespace": "Millrace", "Dimensions": [["Environment", "Workload"]], "Metrics": metrics}
        self._tail = f'"CloudWatchMetrics":{_text([directive])}}}}}\n'

    def request(
        self, request_id: str, route: str, status: int, *, records: int, warnings: int, seconds: float
    ) -> None:
        """Write the line of an answered request; ``seconds`` is the time spent on it in here."""
        now = time.time()
        age = "" if self._made_at is None else f'"ModelAge":{(now - self._made_at) / 3600:.2f},'
        self._write(
            f'{{"level":"INFO","message":"request","request_id":{_text(request_id)},"route":{_text(route)},'
            f'"status":{status},{self._common},"Records":{records},"Warnings":{warnings},'
            f'"Latency":{seconds * 1000:.3f},{age}"_aws":{{"Timestamp":{now * 1000:.0f},{self._tail}'.encode()
        )

    def failure(self, request_id: str, route: str, error: BaseException) -> None:
        """Write where ``error`` came from. Its message stays out: it may quote the caller's values."""
        line = {
            "level": "ERROR",
            "message": "unexpected error",
            "request_id": request_id,
            "route": route,
            **self._about,
            "error": type(error).__name__,
            "traceback": frames(error.__traceback__),
        }
        self._write(msgspec.json.encode(line) + b"\n")


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def frames(trace: TracebackType | None) -> list[str]:
    """Return the frames of a traceback, outermost first, as "file:line function"."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
