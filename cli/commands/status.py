"""`millrace status`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli import runs
from cli.console import Voice, duration, result, show_table, stamp, table
from cli.errors import CliError
from cli.history import State, states
from cli.models import SPOILED, Package, champion, described, manifest, metrics_text
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
    names = values(found, here.settings)
    if run is not None:
        show_run(here, names, run)
        return
    show_stacks(here, found)
    trouble = trouble_with_champion(here, names)
    show_runs(here, names)
    show_alarms(here)
    if trouble:
        raise trouble


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


def trouble_with_champion(here: Session, names: Mapping[str, str]) -> CliError | None:
    """Show the champion; give what is wrong with it, to be told after the rest of the status."""
    try:
        show_champion(here, names)
    except CliError as error:
        result("\nchampion  in trouble: see the end")
        return error
    return None


def show_champion(here: Session, names: Mapping[str, str]) -> None:
    """Print the model that serves: its version, age and metrics, and where the alias points.

    Raises `CliError` where its pointer is spoiled, or its package or its bundle is gone.
    """
    if "function" in names:
        alias = here.client("lambda").get_alias(FunctionName=names["function"], Name="live")
        result(f"\nalias     live → function version {alias['FunctionVersion']}")
    pointer = champion(here)
    if not pointer:
        result("champion  none: no model has been released yet")
        return
    result(f"champion  {pointer['version']}, approved {since(pointer['approved_at'])}")
    made_at = manifest(here, pointer["bundle"]).get("made_at")
    if made_at:
        result(f"          its data were prepared {since(made_at)}")
    result(f"          {metrics_text(held(here, pointer['package']).metrics)}")
    if not made_at:
        raise unsupported(here, f"its bundle {pointer['bundle']} is gone, or of an older format")


def held(here: Session, package: str) -> Package:
    """Describe the champion's package. Raises `CliError` where the registry has it no more."""
    client = here.client("sagemaker")
    try:
        return described(here, package)
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        problem = f"the registry has its package no more: {error.response['Error']['Message']}"
        raise unsupported(here, problem) from error


def unsupported(here: Session, problem: str) -> CliError:
    """Give the error of a model that serves, but of which a part is gone."""
    remedy = (
        "it goes on serving, but can neither be compared with nor released again, "
        f"as a deploy of new code has to: millrace train{here.flags}"
    )
    return CliError(problem, "the champion", remedy)


def since(moment: str) -> str:
    """Give an ISO 8601 time and how long ago that was. Raises `CliError` where it is none."""
    try:
        then = datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError as error:
        raise CliError(f"{moment!r} is no ISO 8601 time", "the champion's record", SPOILED) from error
    return f"{stamp(then)}, {duration((datetime.now(UTC) - then).total_seconds())} ago"


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
