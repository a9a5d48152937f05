"""What a running job has measured: the metric lines that it writes to CloudWatch Logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.log_sources import Source, sources

if TYPE_CHECKING:
    from cli.history import State
    from cli.session import Session

MARK = "millrace "
"""How a metric line begins; ``name=value`` pairs follow."""


def metrics(message: str) -> str:
    """Give the metrics of a log line, or "" where it holds none."""
    _, mark, rest = message.partition(MARK)
    return rest.strip() if mark and "=" in rest.split(" ")[0] else ""


class JobLines:
    """Reads the metric lines of one state's job after the other."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.state: tuple[str, datetime] | None = None
        self.places: list[Source] = []
        self.since = 0
        self.seen: set[str] = set()
        self.last = ""

    def fresh(self, state: State) -> list[str]:
        """Give the metric lines of the state's job that were not given before."""
        if (state.name, state.entered) != self.state:
            self.turn_to(state)
        found = [text for text in map(metrics, self.messages()) if text]
        self.last = found[-1] if found else self.last
        return list(dict.fromkeys(found))

    def turn_to(self, state: State) -> None:
        """Begin to read another state's job."""
        self.state, self.last = (state.name, state.entered), ""
        self.since = int(state.entered.timestamp() * 1000)
        self.places = sources(self.session, state.name.lower()) if state.kind == "Task" else []

    def messages(self) -> Iterator[str]:
        """Give the log lines that came since the last call."""
        for place in self.places:
            for event in read(self.session, place, self.since):
                if identity(event) not in self.seen:
                    self.seen.add(identity(event))
                    yield event["message"]


def identity(event: Mapping[str, Any]) -> str:
    """Give what tells a log event from others; the local CloudWatch Logs gives it no id."""
    return event.get("eventId") or f"{event.get('logStreamName')} {event['timestamp']} {event['message']}"


def read(session: Session, source: Source, since: int) -> list[Mapping[str, Any]]:
    """Read a log group from ``since`` (milliseconds) on, oldest first.

    A group that is not there yet is empty.
    """
    logs = session.client("logs")
    narrowed = {"logStreamNamePrefix": source.prefix} if source.prefix else {}
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=source.group, startTime=since, **narrowed
    )
    try:
        return [event for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
