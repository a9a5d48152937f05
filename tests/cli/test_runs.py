from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import ANY, Stubber
from rich.console import Console

from cli import runs
from cli.console import Voice
from cli.errors import CliError
from cli.session import Session, session

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:millrace-local-flights-train"
RUN = "20261124-0532-k7wq"
ARN = runs.execution_arn(MACHINE, RUN)
NOW = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Session:
    """The environment on this machine, without waiting between two looks."""
    monkeypatch.setattr("cli.runs.time.sleep", lambda _: None)
    return session("local")


@pytest.fixture
def machine(here: Session) -> Iterator[Stubber]:
    """Step Functions that answers only what it was told to."""
    with Stubber(here.client("stepfunctions")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def told(status: str, **more: Any) -> dict[str, Any]:
    return {"executionArn": ARN, "stateMachineArn": MACHINE, "status": status, "startDate": NOW, **more}


def event(number: int, kind: str, **details: Any) -> dict[str, Any]:
    return {"id": number, "type": kind, "timestamp": NOW, **details}


ENTERED = event(1, "TaskStateEntered", stateEnteredEventDetails={"name": "Train"})
EXITED = event(2, "TaskStateExited", stateExitedEventDetails={"name": "Train"})


def test_a_run_is_named_by_its_minute_and_four_letters() -> None:
    assert re.fullmatch(r"20261124-0532-[a-z2-9]{4}", runs.new_run(NOW))
    assert runs.new_run(NOW) != runs.new_run(NOW)


def test_following_tells_states_and_the_job_s_metrics_until_the_end(here: Session, machine: Stubber) -> None:
    for status, events in (("RUNNING", [ENTERED]), ("SUCCEEDED", [ENTERED, EXITED])):
        output = {"output": '{"approved": false}'} if status == "SUCCEEDED" else {}
        machine.add_response("describe_execution", told(status, **output), {"executionArn": ARN})
        machine.add_response(
            "get_execution_history", {"events": events}, {"executionArn": ARN, "maxResults": 1000}
        )
    written = io.StringIO()
    with Stubber(here.client("logs")) as logs:
        line = {"eventId": "1", "timestamp": 1, "message": "millrace epoch=3 validate_auc=0.71"}
        logs.add_response(
            "filter_log_events",
            {"events": [line, {"eventId": "2", "timestamp": 2, "message": "noise a=b"}]},
            {
                "logGroupName": "/aws/sagemaker/TrainingJobs",
                "logStreamNamePrefix": "millrace-local-flights-",
                "startTime": int(NOW.timestamp() * 1000),
            },
        )
        ended = runs.follow(here, Voice(Console(file=written)), ARN, "run")
    said = [text[10:] for text in written.getvalue().splitlines()]
    assert said == [
        "Train               started",
        "Train               epoch=3 validate_auc=0.71",
        "Train               done after 0 s",
    ]
    assert (ended.status, ended.name, ended.output) == ("SUCCEEDED", RUN, {"approved": False})


def test_a_failed_run_ends_with_its_root_cause_and_how_to_go_on() -> None:
    cause = json.dumps({"FailureReason": "AlgorithmError: loss is NaN"})
    failure = event(2, "TaskFailed", taskFailedEventDetails={"error": "States.TaskFailed", "cause": cause})
    last = event(
        3,
        "ExecutionFailed",
        executionFailedEventDetails={"error": "x", "cause": "AlgorithmError: loss is NaN"},
    )
    with pytest.raises(CliError) as failed:
        runs.succeeded(runs.Ended(ARN, "FAILED", [ENTERED, failure, last], None), "Train")
    assert failed.value.problem == "AlgorithmError: loss is NaN"
    assert failed.value.where == f"Train {RUN}, state Train"
    assert failed.value.remedy.endswith(f"millrace train --resume {RUN}")


def test_a_failed_run_is_resumed_by_an_execution_that_knows_it(here: Session, machine: Stubber) -> None:
    machine.add_response("describe_execution", told("FAILED", input="{}"))
    machine.add_response(
        "start_execution",
        {"executionArn": "again", "startDate": NOW},
        {"stateMachineArn": MACHINE, "name": ANY, "input": json.dumps({"resume": RUN})},
    )
    assert runs.resume(here, MACHINE, RUN) == "again"


def test_a_resumed_run_that_failed_too_is_resumed_as_the_first(here: Session, machine: Stubber) -> None:
    machine.add_response("describe_execution", told("FAILED", input=json.dumps({"resume": "first"})))
    machine.add_response(
        "start_execution",
        {"executionArn": "again", "startDate": NOW},
        {"stateMachineArn": MACHINE, "name": ANY, "input": json.dumps({"resume": "first"})},
    )
    runs.resume(here, MACHINE, RUN)


def test_the_laptop_says_that_it_cannot_redrive_a_stopped_run(here: Session, machine: Stubber) -> None:
    machine.add_response("describe_execution", told("ABORTED"))
    with pytest.raises(CliError, match="local Step Functions cannot redrive"):
        runs.resume(here, MACHINE, RUN)


@pytest.mark.parametrize(("status", "remedy"), [("RUNNING", f"--attach {RUN}"), ("SUCCEEDED", "new run")])
def test_a_run_that_did_not_fail_is_not_resumed(
    here: Session, machine: Stubber, status: str, remedy: str
) -> None:
    machine.add_response("describe_execution", told(status))
    with pytest.raises(CliError) as refused:
        runs.resume(here, MACHINE, RUN)
    assert remedy in refused.value.remedy


def test_the_release_of_a_package_is_told_from_others(here: Session, machine: Stubber) -> None:
    others = {"executions": [{**listed("old"), "startDate": NOW}, {**listed("other"), "startDate": NOW}]}
    machine.add_response("list_executions", others)
    machine.add_response("describe_execution", told("RUNNING", input='{"package": "arn:another"}'))
    new = {"executions": [listed("mine"), *others["executions"]]}
    machine.add_response("list_executions", new)
    machine.add_response("describe_execution", told("RUNNING", input='{"package": "arn:wanted"}'))
    found = runs.await_execution(here, MACHINE, "arn:wanted", {runs.execution_arn(MACHINE, "old")})
    assert found == runs.execution_arn(MACHINE, "mine")


def listed(name: str) -> dict[str, Any]:
    return {
        "executionArn": runs.execution_arn(MACHINE, name),
        "stateMachineArn": MACHINE,
        "name": name,
        "status": "RUNNING",
        "startDate": NOW,
    }
