"""Reads the history of a Step Functions execution: which states ran, how long, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cli.console import duration

Event = Mapping[str, Any]

AFTERMATH = frozenset(
    (
        "KeepResumePoint",
        "Notify",
        "Undo",
        "RenewLockToUndo",
        "WhatToUndo",
        "SeeAlias",
        "AliasMoved",
        "RestoreAlias",
        "RestoreLayer",
        "PointersWritten",
        "RestoreLayerPointer",
        "RestoreChampion",
        "EndpointMoved",
        "RestoreEndpointPointer",
        "RestoreEndpoint",
        "UnlockAfterFailure",
        "NotifyFailure",
        "Failed",
    )
)
"""States of the machines that deal with a failure."""

FAILED_EVENTS = {
    "TaskFailed": "taskFailedEventDetails",
    "TaskTimedOut": "taskTimedOutEventDetails",
    "TaskStartFailed": "taskStartFailedEventDetails",
    "TaskSubmitFailed": "taskSubmitFailedEventDetails",
    "EvaluationFailed": "evaluationFailedEventDetails",
}
ENDED_EVENTS = {
    "ExecutionFailed": "executionFailedEventDetails",
    "ExecutionTimedOut": "executionTimedOutEventDetails",
    "ExecutionAborted": "executionAbortedEventDetails",
}
REASONS = ("FailureReason", "ErrorMessage", "errorMessage", "Cause", "cause", "reason", "message")
"""Keys under which services put the reason into a cause that is JSON, the most telling first."""


@dataclass(frozen=True)
class Failure:
    """An error as Step Functions names it, and its cause as the service told it."""

    error: str
    cause: str

    @property
    def root(self) -> str:
        """The innermost reason in full, and the error's name where the reason does not say it."""
        reason = innermost(self.cause)
        return reason if self.error in reason or not self.error else f"{self.error}: {reason}".rstrip(": ")


@dataclass(frozen=True)
class State:
    """A state of an execution, as far as it has come."""

    name: str
    kind: str
    entered: datetime
    exited: datetime | None = None
    attempts: int = 0
    failure: Failure | None = None
    """Why the last attempt failed; None once an attempt has succeeded."""

    @property
    def instant(self) -> bool:
        """Whether the state only decides or passes on, so that its time tells nothing."""
        return self.kind not in ("Task", "Wait", "Map", "Parallel")

    def seconds(self, now: datetime) -> float:
        """Give how long the state has taken."""
        return ((self.exited or now) - self.entered).total_seconds()


def innermost(cause: str) -> str:
    """Unwrap a cause: services put JSON into it, Step Functions puts causes into causes."""
    try:
        content = json.loads(cause)
    except ValueError:
        return cause.strip()
    if not isinstance(content, dict):
        return cause.strip()
    for key in REASONS:
        if content.get(key):
            return innermost(str(content[key]))
    return cause.strip()


def states(events: Iterable[Event]) -> list[State]:
    """Read which states have run, in the order in which they were entered."""
    found: list[State] = []
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            found.append(State(name, kind.removesuffix("StateEntered"), event["timestamp"]))
        elif kind.endswith("StateExited"):
            leave(found, event["stateExitedEventDetails"]["name"], event["timestamp"])
        elif kind.startswith("Execution") and kind != "ExecutionStarted":
            found = [replace(state, exited=state.exited or event["timestamp"]) for state in found]
        elif found:
            found[-1] = advanced(found[-1], event)
    return found


def leave(found: list[State], name: str, moment: datetime) -> None:
    """Note that the state ``name`` was left: the last one of that name that is still open."""
    for index in reversed(range(len(found))):
        if found[index].name == name and found[index].exited is None:
            found[index] = replace(found[index], exited=moment)
            return


def advanced(state: State, event: Event) -> State:
    """Give ``state`` after ``event``."""
    kind = event["type"]
    if kind == "TaskScheduled":
        return replace(state, attempts=state.attempts + 1)
    if kind == "TaskSucceeded":
        return replace(state, failure=None)
    if kind in FAILED_EVENTS:
        return replace(state, failure=failure_in(event.get(FAILED_EVENTS[kind], {})))
    return state


def failure_in(details: Mapping[str, str]) -> Failure:
    """Read error and cause of an event's details."""
    return Failure(details.get("error", ""), details.get("cause", ""))


def end(events: Iterable[Event]) -> Failure | None:
    """Give how an execution failed; None where it did not, or has not ended."""
    for event in events:
        if event["type"] in ENDED_EVENTS:
            return failure_in(event.get(ENDED_EVENTS[event["type"]], {}))
    return None


def root_cause(events: Sequence[Event]) -> tuple[str, str]:
    """Give the state that failed and the root cause in full.

    The execution's own cause counts if it has one. The state is the one that told it, else the last
    that failed for good, else the last before the machine dealt with the failure.
    """
    seen = states(events)
    broken = [state for state in seen if state.failure]
    final = end(events)
    told = innermost(final.cause) if final else ""
    teller = next((state for state in broken if same(state.failure, told)), None)
    failed = teller or (broken[-1] if broken and not told else last_before_aftermath(seen))
    if not told and failed and failed.failure:
        told = failed.failure.root
    return failed.name if failed else "", told or (final.error if final else "") or "no cause was given"


def last_before_aftermath(seen: list[State]) -> State | None:
    """Give the last state that did the machine's work, not the reporting of a failure."""
    work = [state for state in seen if state.name not in AFTERMATH]
    return work[-1] if work else None


def same(failure: Failure | None, told: str) -> bool:
    """Whether ``told`` passes on what ``failure`` says."""
    reason = innermost(failure.cause) if failure else ""
    return bool(reason and told) and (reason in told or told in reason)


def lines(before: list[State], after: list[State]) -> list[str]:
    """Give what happened between two readings of one execution, a line for each change."""
    told: list[str] = []
    for index, state in enumerate(after):
        old = before[index] if index < len(before) else None
        told += changes(old, state)
    return told


def changes(old: State | None, new: State) -> list[str]:
    """Give the lines for one state: started, an attempt that failed, done or failed.

    What only decides is not told, nor that something started which is over already.
    """
    if new.kind not in ("Task", "Map", "Parallel"):
        return []
    told = [f"{new.name:<20}started"] if old is None and not new.exited else []
    if new.failure and (old is None or old.failure != new.failure):
        told.append(f"{new.name:<20}attempt {new.attempts} failed: {new.failure.root}")
    if new.exited and (old is None or old.exited is None):
        verb = "failed" if new.failure else "done"
        told.append(f"{new.name:<20}{verb} after {duration(new.seconds(new.exited))}")
    return told
