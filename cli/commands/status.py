"""`millrace status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli import runs
from cli.console import Voice, duration, result, show_table, stamp, table
from cli.errors import CliError
from cli.history import State, states
from cli.models import champion, described, metrics_text
from cli.outputs import Stack, deploy_hint, stack_names, stacks, values
from cli.session import session

if TYPE_CHECKING:
    from cli.session import Session


def status(*, env: str | None = None, workload: str | None = None, run: str | None = None) -> None:
    """Tell what is deployed, which model serves, how the last runs ended, and which alarms there are.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param run: tell the states of this run instead, and its root cause where it failed
    """
    here = session(env, workload)
    with Voice().busy("reading the stacks"):
        found = stacks(here)
    names = values(found)
    if run is not None:
        show_run(here, names, run)
        return
    show_stacks(here, found)
    show_champion(here, names)
    show_runs(here, names)
    show_alarms(here)


def show_stacks(here: Session, found: Mapping[str, Stack]) -> None:
    """Print the environment's stacks and when each was last deployed."""
    rows = table("stack", "status", "since")
    for part, name in stack_names(here).items():
        stack = found.get(part)
        since = stamp(stack.get("LastUpdatedTime", stack["CreationTime"])) if stack else ""
        rows.add_row(name, stack["StackStatus"] if stack else "not deployed", since)
    show_table(rows)
    if not found:
        raise CliError("nothing is deployed", f"the environment {here.env}", deploy_hint(here))


def show_champion(here: Session, names: Mapping[str, str]) -> None:
    """Print the model that serves: its version, age and metrics, and where the alias points."""
    pointer = champion(here)
    if not pointer:
        result("\nchampion  none: no model has been released yet")
        return
    approved = datetime.fromisoformat(pointer["approved_at"])
    age = duration((datetime.now(UTC) - approved.astimezone(UTC)).total_seconds())
    metrics = metrics_text(described(here, pointer["package"]).metrics)
    result(f"\nchampion  {pointer['version']}, approved {stamp(approved)}, {age} ago")
    result(f"          {metrics}")
    if "function" in names:
        alias = here.client("lambda").get_alias(FunctionName=names["function"], Name="live")
        result(f"alias     live → function version {alias['FunctionVersion']}")


def show_runs(here: Session, names: Mapping[str, str]) -> None:
    """Print the last runs of both state machines, newest first."""
    rows = table("machine", "run", "status", "started", "took")
    for title, key in (("train", "train_machine"), ("release", "release_machine")):
        for each in runs.recent(here, names[key], 5) if key in names else ():
            rows.add_row(title, each["name"], each["status"], stamp(each["startDate"]), took(each))
    result("")
    if rows.row_count:
        show_table(rows)
    else:
        result(f"no runs yet: millrace train{here.flags}")


def took(execution: Mapping[str, Any]) -> str:
    """Give how long an execution took, or has taken so far."""
    end = execution.get("stopDate") or datetime.now(UTC)
    return duration((end - execution["startDate"]).total_seconds())


def show_alarms(here: Session) -> None:
    """Print the environment's alarms."""
    prefix = here.settings.stack(here.workload)
    pages = here.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    rows = table("alarm", "state", "since")
    for alarm in alarms:
        rows.add_row(alarm["AlarmName"], alarm["StateValue"], stamp(alarm["StateUpdatedTimestamp"]))
    result("")
    if alarms:
        show_table(rows)
    else:
        result("no alarms")


def show_run(here: Session, names: Mapping[str, str], run: str) -> None:
    """Print the states of one run, of either machine.

    Raises `CliError` where there is no such run, or it failed: then with its root cause.
    """
    machine, arn = find_run(here, names, run)
    told = here.client("stepfunctions").describe_execution(executionArn=arn)
    events = runs.history(here, arn)
    result(f"{machine} {run}: {told['status']}, started {stamp(told['startDate'])}, {took(told)}")
    rows = table("state", "started", "took", "attempts")
    for state in states(events):
        rows.add_row(*cells(state))
    show_table(rows)
    if told["status"] in ("FAILED", "TIMED_OUT", "ABORTED"):
        runs.succeeded(runs.Ended(arn, told["status"], events, None), machine)


def cells(state: State) -> tuple[str, str, str, str]:
    """Give a state's row."""
    took_text = "" if state.instant else duration(state.seconds(datetime.now(UTC)))
    return state.name, stamp(state.entered), took_text, str(state.attempts or "")


def find_run(here: Session, names: Mapping[str, str], run: str) -> tuple[str, str]:
    """Find the execution called ``run``: the machine's title and the ARN."""
    client = here.client("stepfunctions")
    for title, key in (("Train", "train_machine"), ("Release", "release_machine")):
        arn = runs.execution_arn(names[key], run) if key in names else ""
        try:
            if arn:
                client.describe_execution(executionArn=arn)
                return title, arn
        except client.exceptions.ExecutionDoesNotExist:
            continue
    where = f"the environment {here.env}, workload {here.workload}"
    raise CliError(f"there is no run {run!r}", where, f"see the last runs: millrace status{here.flags}")
