"""A job's log lines on their way to CloudWatch Logs, and the root cause found among them."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from local.emulator import gateway

_LOG4J = re.compile(r"^\d\d/\d\d/\d\d \d\d:\d\d:\d\d (TRACE|DEBUG|INFO|WARN|ERROR) ")
_STACK = re.compile(r"^\s+(at |\.\.\. \d+ more)|^\s*$")
_JAVA_CAUSE = re.compile(r"^\s*(?:: |Caused by: )(.+)")
_TRACEBACK = "Traceback (most recent call last)"
_KEPT_LINES = 400


class Journal:
    """Sends lines to one log stream about three times a second, in order, and keeps the last of them.

    Use it as a context manager; leaving it sends what is left.
    """

    def __init__(self, group: str, stream: str, interval: float = 0.3) -> None:
        self.group, self.stream = group, stream
        self.tail: deque[str] = deque(maxlen=_KEPT_LINES)
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


@dataclass
class Streams:
    """One host's two output streams, which go to one journal but reach it by a thread each.

    So a line of standard output may come between a traceback and its message. Standard error's own
    lines are kept apart, where they are in their order.
    """

    journal: Journal
    on_line: Callable[[str], None] = lambda _: None
    _errors: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def stdout(self, line: str) -> None:
        """Take a line of standard output."""
        self.journal.write(line)
        self.on_line(line)

    def stderr(self, line: str) -> None:
        """Take a line of standard error."""
        self._errors.append(line)
        self.stdout(line)

    def root_cause(self) -> str:
        """The error that ended the program."""
        return root_cause(list(self._errors), list(self.journal.tail))


def root_cause(*logs: Sequence[str], limit: int = 2000) -> str:
    """The error that ended a program, found in the last lines of its logs, the likeliest log first.

    That is the end of the last Python traceback of the first log that has one (with the innermost Java
    cause if Spark raised it), or else the last lines of the last log that are not Spark's own.
    """
    said = [[line for line in log if not _LOG4J.match(line) and not _STACK.match(line)] for log in logs]
    for lines in said:
        starts = [index for index, line in enumerate(lines) if line.startswith(_TRACEBACK)]
        if starts:
            return _raised(lines[starts[-1] + 1 :])[:limit]
    return "\n".join(said[-1][-3:])[-limit:]


def _raised(after: list[str]) -> str:
    """The error in the lines that follow a traceback's first."""
    causes = [match[1] for line in after if (match := _JAVA_CAUSE.match(line))]
    message = [line for line in after if not line.startswith("  ")]
    return causes[-1] if causes else "\n".join(message[:12])
