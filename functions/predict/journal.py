"""The function's log: one JSON line per request, which is its metrics too (CloudWatch's embedded format).

No value of a caller's record is ever written: not in a line, not in a traceback.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from time import time
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
        self._common = quoted(self._about)[1:-1]
        self._age, self._age_holds = "", 0.0
        metrics = METRICS if made_at is None else [*METRICS, AGE]
        directive = {"Namespace": "Millrace", "Dimensions": [["Environment", "Workload"]], "Metrics": metrics}
        self._tail = f'"CloudWatchMetrics":{quoted([directive])}}}}}\n'

    def request(
        self, request_id: str, route: str, status: int, *, records: int, warnings: int, seconds: float
    ) -> None:
        """Write the line of an answered request; ``seconds`` is the time spent on it in here.

        ``request_id`` and ``route`` are JSON texts, quotes included.
        """
        now = time()
        if now > self._age_holds:
            self._tell_age(now)
        self._write(
            f'{{"level":"INFO","message":"request","request_id":{request_id},"route":{route},"status":{status},'
            f'{self._common},"Records":{records},"Warnings":{warnings},"Latency":{seconds * 1000:.3f},'
            f'{self._age}"_aws":{{"Timestamp":{int(now * 1000)},{self._tail}'.encode()
        )

    def _tell_age(self, now: float) -> None:
        """Put the model's age into words that hold for a minute."""
        self._age_holds = now + 60
        if self._made_at is not None:
            self._age = f'"ModelAge":{(now - self._made_at) / 3600:.2f},'

    def warning(self, message: str) -> None:
        """Write what whoever runs the function should do something about; ``message`` says what."""
        self._write(msgspec.json.encode({"level": "WARN", "message": message, **self._about}) + b"\n")

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


def quoted(value: Any) -> str:
    """Return ``value`` as JSON text."""
    return msgspec.json.encode(value).decode()


def frames(trace: TracebackType | None) -> list[str]:
    """Return the frames of a traceback, outermost first, as "file:line function"."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
