"""A job's log lines on their way to CloudWatch Logs, and the root cause found among them."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from types import TracebackType

from local.emulator import gateway

_LOG4J = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (TRACE|DEBUG|INFO|WARN|ERROR) ")
_STACK = re.compile(r"^\s+(at |\.\.\. \d+ more)|^\s*$")
_JAVA_CAUSE = re.compile(r"^\s*(?:: |Caused by: )(.+)")


class Journal:
    """Sends lines to one log stream about three times a second, in order, and keeps the last of them.

    Use it as a context manager; leaving it sends what is left.
    """

    def __init__(self, group: str, stream: str, interval: float = 0.3) -> None:
        self.group, self.stream = group, stream
        self.tail: deque[str] = deque(maxlen=400)
        self._waiting: list[dict[str, int | str]] = []
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._interval = interval
        self._closed = threading.Event()

    def write(self, line: str) -> None:
        """Take one line."""
        with self._lock:
            self.tail.append(line)
            if line:
                self._waiting.append({"timestamp": int(time.time() * 1000), "message": line})

    def flush(self) -> None:
        """Send the lines taken so far."""
        with self._sending:
            with self._lock:
                batch, self._waiting = self._waiting, []
            if batch:
                gateway.client("logs").put_log_events(
                    logGroupName=self.group, logStreamName=self.stream, logEvents=batch
                )

    def __enter__(self) -> Journal:
        logs = gateway.client("logs")
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=self.group)
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(logGroupName=self.group, logStreamName=self.stream)
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._sender.join(timeout=10)
        self.flush()

    def _send(self) -> None:
        while not self._closed.wait(self._interval):
            self.flush()


def root_cause(lines: list[str], limit: int = 2000) -> str:
    """The error that ended a program, found in the last lines of its log.

    That is the end of the last Python traceback (with the innermost Java cause if Spark raised it),
    or else the last lines that are not Spark's own log.
    """
    said = [line for line in lines if not _LOG4J.match(line) and not _STACK.match(line)]
    starts = [
        index for index, line in enumerate(said) if line.startswith("Traceback (most recent call last)")
    ]
    if not starts:
        return "\n".join(said[-3:])[-limit:]
    after = said[starts[-1] + 1 :]
    message = [line for line in after if not line.startswith("  ")]
    causes = [match[1] for line in after if (match := _JAVA_CAUSE.match(line))]
    if causes:
        return causes[-1][:limit]
    return "\n".join(message[:12])[:limit]
