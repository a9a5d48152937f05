"""Runs a state machine's definition in the emulator's interpreter, with service calls that a test answers.

Every call's evaluated arguments, and every answer that a test makes up, are checked against botocore's
model of the operation.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator
from ministack.services import stepfunctions

from infra.machines import definition

Handler = Callable[[dict[str, Any]], Any]
CLIENTS = {
    "sfn": "stepfunctions",
    "states": "stepfunctions",
    "sagemakerruntime": "sagemaker-runtime",
    "applicationautoscaling": "application-autoscaling",
}
_SESSION = botocore.session.get_session()


class ServiceError(Exception):
    """A service call fails with ``error`` as Step Functions names it."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


@dataclass
class Run:
    """What an execution did."""

    status: str = ""
    error: str = ""
    cause: str = ""
    output: Any = None
    path: list[str] = field(default_factory=list)
    """Names of the states in the order in which they were entered."""
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """State, ``service:action`` and evaluated arguments of each service call."""
    problems: list[str] = field(default_factory=list)

    def arguments(self, state: str) -> dict[str, Any]:
        """Arguments of the last call that ``state`` made."""
        return [arguments for name, _, arguments in self.calls if name == state][-1]


def filled(name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The definition with its placeholders filled textually, as CloudFormation does.

    Its jobs are in a network where ``values`` name one.
    """
    whole = definition(name, network="SubnetA" in values)
    text = re.sub(r"\$\{([A-Za-z0-9]+)\}", lambda match: values[match[1]], whole)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def execute(
    name: str, values: Mapping[str, str], input: Any, services: Mapping[str, Handler], *, run: str = "run-1"
) -> Run:
    """Run the machine ``name`` to its end. ``services`` maps ``service:action`` to what answers it."""
    machine = f"arn:aws:states:us-east-1:000000000000:stateMachine:{uuid.uuid4()}"
    arn = f"{machine.replace('stateMachine', 'execution')}:{run}"
    execution = {
        "executionArn": arn, "stateMachineArn": machine, "name": run, "status": "RUNNING", "events": [],
        "startDate": "2026-03-01T10:00:00.000Z", "input": json.dumps(input),
    }  # fmt: skip
    stepfunctions._state_machines[machine] = {"name": name, "definition": json.dumps(filled(name, values))}
    stepfunctions._executions[arn] = execution
    result = Run()
    with _answering(services, result):
        stepfunctions._run_execution(arn)
    assert not result.problems, result.problems
    output = json.loads(str(execution.get("output")))
    result.status, result.output = str(execution["status"]), output
    result.error, result.cause = str(execution.get("error", "")), str(execution.get("cause", ""))
    return result


def _answering(services: Mapping[str, Handler], result: Run) -> Any:
    evaluate = stepfunctions._apply_jsonata_arguments
    entered: list[str] = []

    def remember(state: Any, raw_input: Any, context: Any = None) -> Any:
        entered.append(context["State"]["Name"])
        return evaluate(state, raw_input, context)

    def answer(resource: str, arguments: Any) -> Any:
        call = called(resource)
        arguments = _whole_numbers(arguments)
        result.calls.append((entered[-1], call, arguments))
        try:
            check_arguments(call, arguments)
            reply = services[call](arguments)
            check_answer(resource, reply)
        except ServiceError as refused:
            raise stepfunctions._ExecutionError(refused.error, refused.cause) from refused
        except Exception as problem:
            result.problems.append(f"{entered[-1]}: {problem!r}")
            raise
        return json.loads(json.dumps(reply))

    def note(execution: Any, kind: str, details: Any = None) -> None:
        if kind.endswith("StateEntered"):
            result.path.append(details["stateEnteredEventDetails"]["name"])

    return patch.multiple(
        stepfunctions,
        _apply_jsonata_arguments=remember,
        _invoke_resource=answer,
        _add_event=note,
        _emit_execution_status_event=lambda execution: None,
        _SFN_WAIT_SCALE=0,
    )


def called(resource: str) -> str:
    """``service:action`` of a task's resource."""
    return re.sub(r"\.sync(:2)?$", "", resource.split(":::")[1].removeprefix("aws-sdk:"))


def operation(call: str) -> OperationModel:
    """botocore's model of ``service:action``."""
    service, action = call.split(":")
    model = _SESSION.get_service_model(CLIENTS.get(service, service))
    return model.operation_model(action[0].upper() + action[1:])


def check_arguments(call: str, arguments: dict[str, Any]) -> None:
    """Refuse arguments that the operation would refuse: unknown, missing, of a wrong type, out of bounds."""
    shape = operation(call).input_shape
    if call == "states:startExecution":  # Step Functions spells these members in its own way
        arguments = {"stateMachineArn": arguments["StateMachineArn"], "input": json.dumps(arguments["Input"])}
    problems = ParamValidator().validate(_blobs(shape, arguments), shape).generate_report()
    assert not problems, f"{call}: {problems}"
    _check_patterns(shape, arguments, call)


def check_answer(resource: str, reply: Any) -> None:
    """Refuse a made-up answer with fields that the service does not send."""
    call = called(resource)
    if resource.endswith(".sync:2"):
        assert set(reply) <= {"ExecutionArn", "Output", "Status"}, call
        return
    if resource.endswith(".sync"):
        call = {
            "glue:startJobRun": "glue:getJobRun",
            "sagemaker:createTrainingJob": "sagemaker:describeTrainingJob",
            "sagemaker:createProcessingJob": "sagemaker:describeProcessingJob",
        }[call]
    shape = operation(call).output_shape
    known = set(shape.members) if shape else set()
    if call == "glue:getJobRun":
        known = set(shape.members["JobRun"].members)
    assert set(reply) <= known, f"{call} answers no {set(reply) - known}"


def _blobs(shape: Shape, value: Any) -> Any:
    """Step Functions serialises what an operation takes as bytes."""
    if shape.type_name == "blob":
        return json.dumps(value).encode()
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            key: _blobs(shape.members[key], item) if key in shape.members else item
            for key, item in value.items()
        }
    return value


def _check_patterns(shape: Shape | None, value: Any, where: str) -> None:
    """botocore's validator looks at lengths and ranges alone; the service looks at patterns too."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for key, item in value.items():
            _check_patterns(shape.members.get(key), item, f"{where}.{key}")
    elif shape.type_name == "list":
        for item in value:
            _check_patterns(shape.member, item, f"{where}[]")
    elif shape.type_name == "map":
        for key, item in value.items():
            _check_patterns(shape.key, key, f"{where} key")
            _check_patterns(shape.value, item, f"{where}.{key}")
    elif shape.type_name == "string":
        _check_text(shape, value, where)


def _check_text(shape: Shape, value: str, where: str) -> None:
    metadata = shape.metadata
    assert len(value) <= metadata.get("max", len(value)), f"{where} is longer than {metadata['max']}: {value}"
    values = metadata.get("enum")
    assert not values or value in values, f"{where} is none of {values}: {value}"
    pattern = metadata.get("pattern")
    if pattern and not re.search(r"\\[pu]", pattern):  # Java's character classes
        assert re.fullmatch(pattern, value), f"{where} does not match {pattern}: {value}"


def _whole_numbers(value: Any) -> Any:
    """JSON knows one kind of number; botocore asks for Python's int where the service does."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
