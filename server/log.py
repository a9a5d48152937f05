"""The server's log: JSON lines on standard output. No value of a caller's record is ever written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from functions.predict.journal import frames

Write = Callable[[bytes], object]


def write_stdout(line: bytes) -> None:
    """Write a line in one go, so that lines of several processes do not mix.

    A server answers on where nobody takes its log any more.
    """
    with suppress(OSError):
        os.write(sys.stdout.fileno(), line)


class Log:
    """Writes what happens to one server."""

    def __init__(self, write: Write = write_stdout) -> None:
        self._write = write

    def info(self, message: str, **more: Any) -> None:
        """Write that something has happened."""
        self._line("INFO", message, more)

    def error(self, message: str, **more: Any) -> None:
        """Write that something is wrong."""
        self._line("ERROR", message, more)

    def failure(self, request_id: str, route: str, error: BaseException) -> None:
        """Write where ``error`` came from. Its message stays out: it may quote the caller's values."""
        told = {"error": type(error).__name__, "traceback": frames(error.__traceback__)}
        self.error("unexpected error", request_id=request_id, route=route, **told)

    def _line(self, level: str, message: str, more: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._write(msgspec.json.encode({"time": now, "level": level, "message": message, **more}) + b"\n")
