"""Step Functions: every AWS SDK integration, and jobs that are waited for and stopped with the execution."""

from __future__ import annotations

import base64
import contextvars
import json
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from ministack.services import stepfunctions

from local.emulator import gateway
from local.hooks import expect, replace

Arguments = dict[str, Any]

_SERVICES = {
    "sfn": "stepfunctions",
    "eventbridge": "events",
    "cloudwatchlogs": "logs",
    "applicationautoscaling": "application-autoscaling",
    "sagemakerruntime": "sagemaker-runtime",
}
"""Step Functions' name of a service → boto3's, where they differ."""
_PREFIXES = {
    "sagemaker": "SageMaker",
    "lambda": "Lambda",
    "ssm": "Ssm",
    "dynamodb": "DynamoDb",
    "sagemakerruntime": "SageMakerRuntime",
    "applicationautoscaling": "ApplicationAutoScaling",
}
"""How Step Functions writes a service in an error's name, where MiniStack does not know."""


class ExecutionStoppedError(Exception):
    """The execution that a task worked for was stopped: there is nobody to retry or to catch for."""


_execution: contextvars.ContextVar[Arguments | None] = contextvars.ContextVar("execution", default=None)
_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("deadline", default=None)


def install() -> None:
    """Route SDK integrations through boto3 and add the job integrations."""
    expect(stepfunctions, "_ExecutionError", ("error", "cause"))
    replace(stepfunctions, "_invoke_aws_sdk_integration", ("resource", "input_data"), lambda _: integrate)
    replace(
        stepfunctions, "_execute_task", ("state_def", "raw_input", "execution", "ctx"), _remember_execution
    )
    replace(
        stepfunctions,
        "_invoke_resource_with_timeout",
        ("resource", "input_data", "timeout"),
        _remember_deadline,
    )
    replace(stepfunctions, "_fail_execution", ("execution", "error", "cause"), _keep_how_it_ended)
    replace(
        stepfunctions,
        "_invoke_nested_start_execution_sync",
        ("resource", "input_data"),
        lambda _: _child_execution,
    )
    dispatch = expect(stepfunctions, "_SERVICE_DISPATCH")
    dispatch["arn:aws:states:::glue:startJobRun"] = _glue_job
    dispatch["arn:aws:states:::sagemaker:createTrainingJob"] = _sagemaker_job("TrainingJob")
    dispatch["arn:aws:states:::sagemaker:createProcessingJob"] = _sagemaker_job("ProcessingJob")


def _error(name: str, cause: str) -> Exception:
    error: Exception = stepfunctions._ExecutionError(name, cause)
    return error


def integrate(resource: str, input_data: Arguments) -> Any:
    """Perform ``arn:aws:states:::aws-sdk:<service>:<action>`` through boto3.

    Unlike MiniStack's own way this refuses arguments that AWS does not know.
    """
    *_, service, action = resource.replace(".sync", "").replace(".waitForTaskToken", "").split(":")
    return call(service.lower(), action, input_data or {})


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def call(service: str, action: str, arguments: Arguments) -> Any:
    """Call ``action`` of ``service`` (both in Step Functions' spelling) and return its answer as JSON.

    Raises the error that Step Functions would name: ``Ssm.ParameterNotFoundException``.
    """
    name = _SERVICES.get(service, service)
    operation = _operation(name, action)
    try:
        members = _inward(operation.input_shape, arguments, action)
        answer = getattr(gateway.client(name), xform_name(operation.name))(**members)
    except ClientError as error:
        raise _error(_error_name(service, name, error), error.response["Error"].get("Message", "")) from error
    except BotoCoreError as error:
        raise _error("States.Runtime", f"{service}:{action}: {error}") from error
    return _outward(operation.output_shape, answer)


def _operation(service: str, action: str) -> Any:
    model = _model(service)
    wanted = action[0].upper() + action[1:]
    if wanted not in model.operation_names:
        raise _error("States.Runtime", f"AWS has no operation {wanted} in {service}")
    return model.operation_model(wanted)


def _error_name(spelling: str, service: str, error: ClientError) -> str:
    """The name of AWS's Java SDK exception: modelled errors by their own name, others by the service's."""
    prefixes = {**expect(stepfunctions, "_AWS_SDK_ERROR_PREFIX"), **_PREFIXES}
    prefix = prefixes.get(spelling, spelling.capitalize())
    code = error.response["Error"].get("Code", "")
    modelled = {shape.name for shape in _model(service).error_shapes}
    modelled |= {shape.error_code for shape in _model(service).error_shapes}
    if code not in modelled:
        return f"{prefix}.{prefix}Exception"
    return f"{prefix}.{code}" if code.endswith("Exception") else f"{prefix}.{code}Exception"


def _inward(shape: Any, value: Any, where: str) -> Any:
    """Turn JSON into what boto3 takes: member names in the API's case, whole numbers, blobs."""
    kind = shape.type_name if shape is not None else "structure"
    if kind == "structure" and isinstance(value, dict):
        return _members(shape, value, where)
    if kind == "list" and isinstance(value, list):
        return [_inward(shape.member, item, where) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _inward(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    if kind in {"integer", "long"} and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "blob" and isinstance(value, dict | list):
        return json.dumps(value)
    return value


def _members(shape: Any, value: Arguments, where: str) -> Arguments:
    known = {} if shape is None else {name.lower(): name for name in shape.members}
    unknown = [name for name in value if name.lower() not in known]
    if unknown:
        raise _error("States.Runtime", f"{where}: AWS has no member {', '.join(unknown)} there")
    names = {name: known[name.lower()] for name in value}
    return {
        names[name]: _inward(shape.members[names[name]], item, f"{where}.{name}")
        for name, item in value.items()
    }


def _outward(shape: Any, value: Any) -> Any:
    """Turn boto3's answer into Step Functions' JSON: members in capitals, times as text, bodies read."""
    kind = shape.type_name if shape is not None else "structure"
    if kind == "structure" and isinstance(value, dict):
        members = shape.members if shape is not None else {}
        return {
            name[0].upper() + name[1:]: _outward(members[name], item)
            for name, item in value.items()
            if name in members
        }
    if kind == "list":
        return [_outward(shape.member, item) for item in value]
    if kind == "map":
        return {key: _outward(shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return value.isoformat()
    if kind == "blob":
        return _text(value.read() if hasattr(value, "read") else value)
    return value


def _text(data: bytes | str) -> str:
    if isinstance(data, str):
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()


def _remember_execution(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a task's integration see which execution it works for."""

    def execute_task(state_def: Arguments, raw_input: Any, execution: Arguments, ctx: Arguments) -> Any:
        token = _execution.set(execution)
        try:
            return original(state_def, raw_input, execution, ctx)
        finally:
            _execution.reset(token)

    return execute_task


def _remember_deadline(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let a task's integration see when its TimeoutSeconds are over."""

    def invoke(resource: str, input_data: Arguments, timeout: float) -> Any:
        token = _deadline.set(time.monotonic() + timeout)
        try:
            return original(resource, input_data, timeout)
        finally:
            _deadline.reset(token)

    return invoke


def _keep_how_it_ended(original: Callable[..., None]) -> Callable[..., None]:
    """An execution that was stopped stays stopped, whatever its last task says afterwards."""

    def fail(execution: Arguments, error: str, cause: str) -> None:
        if execution["status"] == "RUNNING":
            original(execution, error, cause)

    return fail


def _stopped() -> bool:
    execution = _execution.get()
    return execution is not None and execution.get("status", "RUNNING") != "RUNNING"


def _overdue() -> bool:
    deadline = _deadline.get()
    return deadline is not None and time.monotonic() > deadline


def _await(
    look: Callable[[], Arguments], status: str, good: set[str], bad: set[str], stop: Callable[[], Any]
) -> Any:
    """Poll ``look`` until its ``status`` is final; stop the job if the execution gives up on it."""
    pause = threading.Event()
    while True:
        job = look()
        if job[status] in good:
            return job
        if job[status] in bad:
            raise _error("States.TaskFailed", json.dumps(job))
        if _stopped() or _overdue():
            stop()
            raise ExecutionStoppedError(f"the job was {job[status]} and is being stopped")
        pause.wait(0.2)


def _child_execution(_: str, arguments: Arguments) -> Any:
    """``states:startExecution.sync:2``: the child is stopped with its parent, and tells why it failed."""
    asked = {"stateMachineArn": arguments["StateMachineArn"], "input": json.dumps(arguments.get("Input", {}))}
    if "Name" in arguments:
        asked["name"] = arguments["Name"]
    started = {"executionArn": call("sfn", "startExecution", asked)["ExecutionArn"]}
    ended: Arguments = _await(
        lambda: call("sfn", "describeExecution", started),
        "Status",
        {"SUCCEEDED"},
        {"FAILED", "TIMED_OUT", "ABORTED"},
        lambda: call("sfn", "stopExecution", started),
    )
    return {**ended, "Output": json.loads(ended.get("Output") or "{}")}


def _sagemaker_job(kind: str) -> Callable[[str, Arguments], Any]:
    """``sagemaker:create<kind>`` with and without ``.sync``."""

    def run(resource: str, arguments: Arguments) -> Any:
        created = call("sagemaker", f"create{kind}", arguments)
        if ".sync" not in resource:
            return created
        name = {f"{kind}Name": arguments[f"{kind}Name"]}
        return _await(
            lambda: call("sagemaker", f"describe{kind}", name),
            f"{kind}Status",
            {"Completed"},
            {"Failed", "Stopped"},
            lambda: call("sagemaker", f"stop{kind}", name),
        )

    return run


def _glue_job(resource: str, arguments: Arguments) -> Any:
    """``glue:startJobRun`` with and without ``.sync``."""
    started = call("glue", "startJobRun", arguments)
    if ".sync" not in resource:
        return started
    job, run = arguments["JobName"], started["JobRunId"]
    return _await(
        lambda: call("glue", "getJobRun", {"JobName": job, "RunId": run})["JobRun"],
        "JobRunState",
        {"SUCCEEDED"},
        {"FAILED", "TIMEOUT", "STOPPED", "ERROR"},
        lambda: call("glue", "batchStopJobRun", {"JobName": job, "JobRunIds": [run]}),
    )
