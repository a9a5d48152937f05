"""Runs of the two state machines: started, found, followed, resumed."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.history import Event, State, lines, root_cause, states
from cli.job_lines import JobLines

if TYPE_CHECKING:
    from cli.console import Activity, Voice
    from cli.session import Session

LETTERS = "abcdefghjkmnpqrstvwxyz23456789"

ELSE = "`millrace status` tells of the runs, `millrace logs` what each job said"
REMEDIES = {
    "Preprocess": "see `millrace logs preprocess`; correct data or contract, ingest, and train again",
    "Train": "see `millrace logs train`; then go on from here: millrace train --resume {run}",
    "Package": "see `millrace logs package`; then go on from here: millrace train --resume {run}",
    "Gate": "the champion stays; improve features or hyperparameters (--set), or change floor and budget",
}
"""State of Train that failed → what to do."""


@dataclass(frozen=True)
class Ended:
    """How an execution ended: its status, its events, and its output where it succeeded."""

    arn: str
    status: str
    events: list[Event]
    output: Any

    @property
    def name(self) -> str:
        """The execution's name: for Train, the run."""
        return self.arn.rpartition(":")[2]


def new_run(now: datetime | None = None) -> str:
    """Make the name of a run: ``20261124-0532-k7wq``, UTC."""
    return f"{(now or datetime.now(UTC)).strftime('%Y%m%d-%H%M')}-{letters()}"


def letters() -> str:
    """Give four letters or digits that tell names of the same minute apart."""
    return "".join(secrets.choice(LETTERS) for _ in range(4))


def execution_arn(machine: str, name: str) -> str:
    """Give the ARN of the execution ``name`` of a state machine."""
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"


def history(session: Session, arn: str) -> list[Event]:
    """Read all events of an execution, oldest first."""
    pages = session.client("stepfunctions").get_paginator("get_execution_history")
    return [event for page in pages.paginate(executionArn=arn, maxResults=1000) for event in page["events"]]


def recent(session: Session, machine: str, count: int = 10) -> list[Mapping[str, Any]]:
    """List a machine's last executions, newest first."""
    listed = session.client("stepfunctions").list_executions(stateMachineArn=machine, maxResults=count)
    return sorted(listed["executions"], key=itemgetter("startDate"), reverse=True)


def follow(session: Session, voice: Voice, arn: str, title: str) -> Ended:
    """Say what an execution does until it ends, and a sign of life meanwhile."""
    seen: list[State] = []
    spoken = JobLines(session)
    with voice.busy(title) as activity:
        while True:
            told = session.client("stepfunctions").describe_execution(executionArn=arn)
            events = history(session, arn)
            now = states(events)
            for line in lines(seen, now):
                voice.say(line)
            seen = now
            if told["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                return Ended(arn, told["status"], events, json.loads(told.get("output") or "null"))
            if now:
                speak(voice, activity, spoken, now[-1])
            time.sleep(1 if session.local else 3)


def speak(voice: Voice, activity: Activity, spoken: JobLines, state: State) -> None:
    """Say what the job of ``state`` has measured, and show it as what goes on."""
    for line in spoken.fresh(state):
        voice.say(f"{state.name:<20}{line}")
    latest = f"{state.name} {spoken.last}".rstrip()
    activity.become(latest, state.seconds(datetime.now(UTC)))


def succeeded(ended: Ended, machine: str, remedy: str = "") -> None:
    """Raise the root cause of an execution that did not succeed, in full, with what to do about it."""
    if ended.status == "SUCCEEDED":
        return
    state, cause = root_cause(ended.events)
    advice = REMEDIES.get(state, remedy or ELSE)
    where = f"{machine} {ended.name}, state {state}" if state else f"{machine} {ended.name}"
    problem = cause if ended.status == "FAILED" else f"{ended.status}: {cause}"
    raise CliError(problem, where, advice.format(run=ended.name))


def resume(session: Session, machine: str, run: str) -> str:
    """Let a run go on from the state that failed; give the ARN of the execution to follow.

    A failure that the machine caught goes on in a new execution, which reads what the run left.
    A run that was stopped or timed out is redriven by Step Functions itself.
    Raises `CliError` where the run did not fail, or the environment cannot redrive.
    """
    client = session.client("stepfunctions")
    arn = execution_arn(machine, run)
    told = client.describe_execution(executionArn=arn)
    if told["status"] == "FAILED":
        first = json.loads(told.get("input") or "{}").get("resume", run)
        name, content = f"{first}-again-{letters()}", json.dumps({"resume": first})
        return str(client.start_execution(stateMachineArn=machine, name=name, input=content)["executionArn"])
    if told["status"] in ("ABORTED", "TIMED_OUT"):
        redrive(session, arn)
        return arn
    remedy = f"follow it: millrace train --attach {run}" if told["status"] == "RUNNING" else "start a new run"
    raise CliError(f"it cannot be resumed: it is {told['status']}", f"run {run}", remedy)


def redrive(session: Session, arn: str) -> None:
    """Let Step Functions redrive an execution.

    Raises `CliError` on the laptop, whose Step Functions cannot.
    """
    if session.local:
        problem = "the local Step Functions cannot redrive a run that was stopped or timed out"
        raise CliError(problem, f"run {arn.rpartition(':')[2]}", "start a new run: millrace train")
    session.client("stepfunctions").redrive_execution(executionArn=arn)


def await_execution(session: Session, machine: str, text: str, known: set[str], seconds: float = 60) -> str:
    """Wait for an execution that is not ``known`` and whose input holds ``text``.

    Give its ARN, or "" where none came within ``seconds``.
    """
    client = session.client("stepfunctions")
    looked_at = set(known)
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        for arn in (str(each["executionArn"]) for each in recent(session, machine, 50)):
            if arn not in looked_at and text in client.describe_execution(executionArn=arn)["input"]:
                return arn
            looked_at.add(arn)
        time.sleep(1)
    return ""
