"""The one place where this job writes its log: a JSON object per line, which CloudWatch can query."""

from __future__ import annotations

import json
import logging
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger("millrace.preprocess")


class _Lines(logging.Formatter):
    """A record's message is its event; what was passed as ``extra={"facts": …}`` stands beside it."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        facts = getattr(record, "facts", {})
        line = {"time": moment, "level": record.levelname, "event": record.getMessage(), **facts}
        return json.dumps(line, default=str)


def open_journal() -> None:
    """Sends this job's log to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines())
    LOG.handlers = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


def note(event: str, **facts: object) -> None:
    """Logs ``event`` with ``facts``: counts and names, never a value of a row."""
    LOG.info(event, extra={"facts": facts})


@contextmanager
def stage(name: str) -> Iterator[dict[str, object]]:
    """Logs the start of ``name`` and, with its seconds and the facts put into the result, its end."""
    note("started", stage=name)
    start = time.monotonic()
    facts: dict[str, object] = {}
    yield facts
    note("finished", stage=name, seconds=round(time.monotonic() - start, 2), **facts)
