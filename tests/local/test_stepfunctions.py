"""State machines: SDK integrations are checked as AWS checks them, and jobs are waited for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local.executors import process
from tests.local.conftest import eventually

AWS = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/machine"


@pytest.fixture
def run(aws: AWS) -> Callable[..., dict[str, Any]]:
    """A function that runs one task and gives the ended execution."""

    def perform(resource: str, arguments: dict[str, Any], **task: Any) -> dict[str, Any]:
        execution = begin(aws, resource, arguments, **task)
        return dict(eventually(lambda: _ended(aws, execution)))

    return perform


def begin(aws: AWS, resource: str, arguments: dict[str, Any], **task: Any) -> str:
    state = {"Type": "Task", "Resource": resource, "Arguments": arguments, "End": True, **task}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Only", "States": {"Only": state}}
    machine = aws("stepfunctions").create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=ROLE
    )
    return str(
        aws("stepfunctions").start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    )


def _ended(aws: AWS, execution: str) -> Any:
    found = aws("stepfunctions").describe_execution(executionArn=execution)
    return found if found["status"] != "RUNNING" else None


def test_given_an_object_when_read_by_a_task_then_its_body_is_in_the_output(
    run: Callable[..., dict[str, Any]], bucket: str, upload: Callable[[str, str], str]
) -> None:
    upload("verdict.json", '{"passed": true}')

    ended = run("arn:aws:states:::aws-sdk:s3:getObject", {"Bucket": bucket, "Key": "verdict.json"})

    assert json.loads(json.loads(ended["output"])["Body"]) == {"passed": True}


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("ssm:getParameter", {"Name": "/none"}, "Ssm.ParameterNotFoundException"),
        ("s3:getObject", {"Bucket": "lake", "Key": "none"}, "S3.NoSuchKeyException"),
        ("lambda:getAlias", {"FunctionName": "none", "Name": "live"}, "Lambda.ResourceNotFoundException"),
        ("sagemaker:describeModelPackage", {"ModelPackageName": "none"}, "SageMaker.SageMakerException"),
    ],
)
def test_given_an_error_of_a_service_when_a_task_fails_then_it_is_named_as_aws_names_it(
    run: Callable[..., dict[str, Any]], bucket: str, resource: str, arguments: dict[str, str], error: str
) -> None:
    ended = run(f"arn:aws:states:::aws-sdk:{resource}", arguments)

    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_given_a_member_that_aws_does_not_know_when_a_task_runs_then_it_is_refused(
    run: Callable[..., dict[str, Any]],
) -> None:
    ended = run("arn:aws:states:::aws-sdk:ssm:getParameter", {"Name": "/a", "Decrypt": True})

    assert "AWS has no member Decrypt there" in ended["cause"]


def test_given_a_job_that_fails_when_waited_for_then_the_cause_holds_its_reason(
    run: Callable[..., dict[str, Any]],
) -> None:
    ended = run("arn:aws:states:::sagemaker:createProcessingJob.sync", job("echo no rows; exit 4"))

    assert ended["error"] == "States.TaskFailed"
    assert json.loads(ended["cause"])["FailureReason"] == "AlgorithmError: no rows, exit code: 4"


@pytest.mark.parametrize("why", ["stopped", "timed out"])
def test_given_a_job_that_lasts_when_its_execution_ends_then_it_is_stopped(why: str, aws: AWS) -> None:
    arguments = job("echo pid $$; sleep 99")
    name = arguments["ProcessingJobName"]
    limit = {"TimeoutSeconds": 5} if why == "timed out" else {}
    execution = begin(aws, "arn:aws:states:::sagemaker:createProcessingJob.sync", arguments, **limit)
    pid = int(eventually(lambda: _pid(aws, name)))
    if why == "stopped":
        aws("stepfunctions").stop_execution(executionArn=execution)

    eventually(lambda: not process.alive(pid))

    ended = eventually(lambda: _ended(aws, execution))
    assert ended["status"] == {"stopped": "ABORTED", "timed out": "FAILED"}[why]
    status = aws("sagemaker").describe_processing_job
    eventually(lambda: status(ProcessingJobName=name)["ProcessingJobStatus"] == "Stopped")


def _pid(aws: AWS, name: str) -> str | None:
    stream = {"logGroupName": "/aws/sagemaker/ProcessingJobs", "logStreamName": f"{name}/algo-1"}
    try:
        events = aws("logs").get_log_events(**stream)["events"]
    except aws("logs").exceptions.ResourceNotFoundException:
        return None
    return events[0]["message"].split()[1] if events else None


def job(script: str) -> dict[str, Any]:
    """A processing job's request in Step Functions' spelling."""
    return {
        "ProcessingJobName": f"job-{uuid.uuid4().hex[:8]}",
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m6i.large", "VolumeSizeInGB": 1}
        },
        "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["bash", "-c", script]},
    }


def child(aws: AWS, state: dict[str, Any]) -> str:
    """The ARN of a machine of one state."""
    definition = {"QueryLanguage": "JSONata", "StartAt": "Only", "States": {"Only": state}}
    made = aws("stepfunctions").create_state_machine(
        name=f"child-{uuid.uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=ROLE
    )
    return str(made["stateMachineArn"])


CHILD = "arn:aws:states:::states:startExecution.sync:2"


def test_given_a_child_execution_then_its_output_is_the_tasks(
    run: Callable[..., dict[str, Any]], aws: AWS
) -> None:
    machine = child(aws, {"Type": "Pass", "Output": {"said": "{% $states.input.word %}"}, "End": True})
    ended = run(CHILD, {"StateMachineArn": machine, "Input": {"word": "yes"}})
    assert json.loads(ended["output"])["Output"] == {"said": "yes"}


def test_given_a_child_execution_that_fails_then_the_cause_describes_it(
    run: Callable[..., dict[str, Any]], aws: AWS
) -> None:
    machine = child(aws, {"Type": "Fail", "Error": "Millrace.Odd", "Cause": "seven"})
    ended = run(CHILD, {"StateMachineArn": machine, "Input": {}})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    described = json.loads(ended["cause"])
    assert (described["Status"], described["Error"], described["Cause"]) == (
        "FAILED",
        "Millrace.Odd",
        "seven",
    )


def test_given_a_stopped_execution_then_its_child_is_stopped_too(aws: AWS) -> None:
    machine = child(aws, {"Type": "Wait", "Seconds": 600, "End": True})
    execution = begin(aws, CHILD, {"StateMachineArn": machine, "Input": {}})
    started = eventually(lambda: aws("stepfunctions").list_executions(stateMachineArn=machine)["executions"])
    aws("stepfunctions").stop_execution(executionArn=execution)
    ended = eventually(lambda: _ended(aws, started[0]["executionArn"]))
    assert ended["status"] == "ABORTED"
