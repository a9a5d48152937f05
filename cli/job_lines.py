"""What a running job tells of its progress in CloudWatch Logs: its stages, and what it has measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.console import duration
from cli.log_sources import Source, sources

if TYPE_CHECKING:
    from cli.history import State
    from cli.session import Session

MARK = "millrace "
"""How a metric line begins; ``name=value`` pairs follow."""


def telling(message: str) -> str:
    """Give what a log line tells of a job's progress, or "" where it tells nothing of it.

    That is the metrics of a line such as ``millrace epoch=3 validate_auc=0.71``, or the stage that a
    line of JSON names; a stage that has only begun ends with "…".
    """
    _, mark, rest = message.partition(MARK)
    if mark and "=" in rest.split(" ")[0]:
        return rest.strip()
    try:
        content = json.loads(message) if message.startswith("{") else {}
    except ValueError:
        return ""
    return stage_text(content) if "stage" in content and "event" in content else ""


def stage_text(content: Mapping[str, Any]) -> str:
    """Give a stage with its numbers: ``clean flights: 12 s · read 336776 · kept 336776``."""
    if content["event"] == "started":
        return f"{content['stage']} …"
    facts = [duration(content["seconds"])] if "seconds" in content else []
    facts += [
        f"{name} {value}"
        for name, value in content.items()
        if isinstance(value, int | float) and name != "seconds"
    ]
    return f"{content['stage']}: {' · '.join(facts) or content['event']}"


class JobLines:
    """Reads the progress of one state's job after the other."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.state: tuple[str, datetime] | None = None
        self.places: list[Source] = []
        self.since = 0
        self.seen: set[str] = set()
        self.last = ""

    def fresh(self, state: State) -> list[str]:
        """Give what the state's job has told of its progress since the last call; ``last`` is the latest."""
        if (state.name, state.entered) != self.state:
            self.turn_to(state)
        found = [text for text in map(telling, self.messages()) if text]
        self.last = found[-1] if found else self.last
        return [text for text in dict.fromkeys(found) if not text.endswith("…")]

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
