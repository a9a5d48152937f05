"""The release machine, run against a small model of Lambda, its registry, its lock and its pointers."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from infra.machines import machine, placeholders

from .interpreter import Handler, Run, ServiceError, execute

PREFIX = "arn:aws:lambda:us-east-1:000000000000"
FUNCTION = "millrace-dev-flights-predict"
LAYERS = f"{PREFIX}:layer:millrace-dev-flights-bundle"
SEED = f"{PREFIX}:layer:seed:1"
GROUP = "millrace-dev-flights"
CHAMPION, LAYER = "/millrace/dev/flights/champion", "/millrace/dev/flights/layer"
VALUES = {
    "Environment": "dev", "Workload": "flights", "FunctionName": FUNCTION,
    "FunctionArn": f"{PREFIX}:function:{FUNCTION}", "Bootstrap": "1",
    "LayerName": "millrace-dev-flights-bundle",
    "LayerParameter": LAYER, "ChampionParameter": CHAMPION, "ReleasesTable": "millrace-dev-flights-releases",
    "PackageGroup": GROUP, "Models": "millrace-models", "Probe": f"{PREFIX}:function:probe",
    "TopicArn": "arn:aws:sns:us-east-1:000000000000:operations",
    "EndpointMachine": "none", "EndpointParameter": "none",
}  # fmt: skip
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:millrace-dev-flights-endpoint"
ENDPOINT = "/millrace/dev/flights/endpoint"
DEPLOY = {"reason": "deploy"}


def package(number: int) -> str:
    return f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{GROUP}/{number}"


def approval(number: int, at: str) -> dict[str, Any]:
    """The registry's event, as EventBridge sends it."""
    return {
        "source": "aws.sagemaker",
        "detail-type": "SageMaker Model Package State Change",
        "time": at,
        "resources": [package(number)],
        "detail": {"ModelPackageGroupName": GROUP, "ModelApprovalStatus": "Approved"},
    }


def request(number: int) -> dict[str, str]:
    return {"reason": "request", "package": package(number)}


class World:
    """What the release sees and changes. Model N says N/10; a layer's ARN ends in the number of its model."""

    def __init__(self) -> None:
        self.function = {
            "CodeSha256": "code-1", "Layers": [{"Arn": SEED}], "State": "Active", "Timeout": 10,
            "LastUpdateStatus": "Successful", "RevisionId": "0", "MemorySize": 1769,
        }  # fmt: skip
        self.versions: dict[str, dict[str, Any]] = {"1": {**copy.deepcopy(self.function), "Version": "1"}}
        self.alias = {"FunctionVersion": "1", "RevisionId": "a"}
        self.moves: list[str] = []
        self.parameters = {CHAMPION: "{}", LAYER: SEED}
        self.packages = {package(number): "Approved" for number in (1, 2, 3)}
        self.layers: dict[int, str] = {}
        self.lock: dict[str, Any] = {}
        self.messages: list[dict[str, str]] = []
        self.answers: dict[str, float] = {}
        self.handlers: dict[str, Handler] = {
            "dynamodb:putItem": self.put_lock, "dynamodb:deleteItem": self.delete_lock,
            "dynamodb:updateItem": self.renew_lock,
            "ssm:getParameters": self.get_parameters, "ssm:putParameter": self.put_parameter,
            "sagemaker:describeModelPackage": self.describe_package,
            "lambda:getAlias": lambda _: dict(self.alias), "lambda:updateAlias": self.update_alias,
            "lambda:getFunctionConfiguration": self.get_configuration,
            "lambda:updateFunctionConfiguration": self.update_configuration,
            "lambda:publishLayerVersion": self.publish_layer, "lambda:publishVersion": self.publish_version,
            "lambda:listVersionsByFunction": self.list_versions, "lambda:deleteFunction": self.delete_version,
            "lambda:listLayerVersions": self.list_layers, "lambda:deleteLayerVersion": self.delete_layer,
            "lambda:invoke": self.invoke, "s3:getObject": self.get_object, "sns:publish": self.publish,
            "states:startExecution": self.start_child,
        }  # fmt: skip
        self.values = VALUES
        self.children: list[dict[str, Any]] = []
        self.hosted: dict[str, str] = {}

    def add_endpoint(self) -> None:
        """The environment's targets hold an endpoint from now on."""
        self.values = {**VALUES, "EndpointMachine": MACHINE, "EndpointParameter": ENDPOINT}
        self.parameters[ENDPOINT] = "none"

    def start_child(self, call: dict[str, Any]) -> dict[str, Any]:
        """The endpoint's machine, which is tested by itself."""
        assert call["StateMachineArn"] == MACHINE
        asked = call["Input"]
        assert asked["holder"] == self.lock["holder"]["S"]
        self.children.append(asked)
        former = self.hosted
        if asked["action"] == "restore":
            self.hosted = asked["former"]
            return {"Output": {"changed": True, "endpoint": self.hosted, "former": self.hosted, "note": ""}}
        made = {"endpoint": "millrace-dev-flights", "config": f"c{len(self.children)}", "model": "m"}
        changed = former.get("version") != asked["version"]
        self.hosted = {**made, "version": asked["version"]} if changed else former
        output = {"changed": changed, "endpoint": self.hosted, "former": asked["former"], "note": "untidy"}
        return {"Output": output}

    @property
    def champion(self) -> dict[str, str]:
        parsed: dict[str, str] = json.loads(self.parameters[CHAMPION])
        return parsed

    @property
    def served(self) -> tuple[str, str]:
        """Code and layer that callers meet."""
        version = self.versions[self.alias["FunctionVersion"]]
        return version["CodeSha256"], version["Layers"][0]["Arn"]

    def put_lock(self, call: dict[str, Any]) -> dict[str, Any]:
        now = int(call["ExpressionAttributeValues"][":now"]["N"])
        me = call["ExpressionAttributeValues"][":me"]["S"]
        assert abs(now - time.time()) < 60
        free = not self.lock or int(self.lock["lease_ends"]["N"]) < now or self.lock["holder"]["S"] == me
        if not free:
            raise ServiceError("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
        self.lock = call["Item"]
        return {}

    def renew_lock(self, call: dict[str, Any]) -> dict[str, Any]:
        if self.lock.get("holder") != call["ExpressionAttributeValues"][":me"]:
            raise ServiceError("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
        self.lock["lease_ends"] = call["ExpressionAttributeValues"][":ends"]
        return {}

    def delete_lock(self, call: dict[str, Any]) -> dict[str, Any]:
        if self.lock.get("holder") != call["ExpressionAttributeValues"][":me"]:
            raise ServiceError("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
        self.lock = {}
        return {}

    def get_parameters(self, call: dict[str, Any]) -> dict[str, Any]:
        names = reversed(call["Names"])
        return {"Parameters": [{"Name": name, "Value": self.parameters[name]} for name in names]}

    def put_parameter(self, call: dict[str, Any]) -> dict[str, Any]:
        self.parameters[call["Name"]] = call["Value"]
        return {"Version": 2}

    def describe_package(self, call: dict[str, Any]) -> dict[str, Any]:
        arn = call["ModelPackageName"]
        number = arn.split("/")[-1]
        return {
            "ModelPackageGroupName": arn.split("/")[-2],
            "ModelApprovalStatus": self.packages[arn],
            "CustomerMetadataProperties": {
                "run": f"run-{number}",
                "bundle": f"s3://millrace-models/flights/runs/run-{number}/bundle/",
            },
        }

    def get_configuration(self, call: dict[str, Any]) -> dict[str, Any]:
        return dict(self.versions[call["Qualifier"]] if "Qualifier" in call else self.function)

    def update_configuration(self, call: dict[str, Any]) -> dict[str, Any]:
        self.function["Layers"] = [{"Arn": arn} for arn in call["Layers"]]
        self.function["RevisionId"] = str(int(str(self.function["RevisionId"])) + 1)
        return {"LastUpdateStatus": "InProgress"}

    def publish_layer(self, call: dict[str, Any]) -> dict[str, Any]:
        number = max(self.layers, default=0) + 1
        self.layers[number] = re.findall(r"runs/run-(\d+)/bundle/layer.zip$", call["Content"]["S3Key"])[0]
        return {"LayerVersionArn": f"{LAYERS}:{number}"}

    def publish_version(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["RevisionId"] != self.function["RevisionId"]:
            raise ServiceError("Lambda.PreconditionFailedException", "The RevisionId provided does not match")
        number = str(max(map(int, self.versions)) + 1)
        self.versions[number] = {**copy.deepcopy(self.function), "Version": number}
        return {"Version": number}

    def update_alias(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["RevisionId"] != self.alias["RevisionId"]:
            raise ServiceError("Lambda.PreconditionFailedException", "The RevisionId provided does not match")
        self.moves.append(call["FunctionVersion"])
        self.alias = {
            "FunctionVersion": call["FunctionVersion"],
            "RevisionId": self.alias["RevisionId"] + "+",
        }
        return dict(self.alias)

    def invoke(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["FunctionName"] == VALUES["Probe"]:
            return {"Payload": {}}
        version = call["FunctionName"].split(":")[-1]
        layer = self.versions[version]["Layers"][0]["Arn"]
        number = self.layers[int(layer.split(":")[-1])] if layer != SEED else "0"
        said = self.answers.get(number, int(number) / 10)
        body = {"version": f"run-{number}", "predictions": [{"probability": said}, {"probability": 0.5}]}
        return {"StatusCode": 200, "Payload": {"statusCode": 200, "body": json.dumps(body)}}

    def get_object(self, call: dict[str, Any]) -> dict[str, Any]:
        number = re.findall(r"^flights/runs/run-(\d+)/bundle/release.json$", call["Key"])[0]
        expected = [int(number) / 10, 0.5]
        checks = {"request": '{"records":[{},{}]}', "probabilities": expected, "tolerance": 1e-4}
        return {"Body": json.dumps(checks)}

    def list_versions(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"Versions": [{**self.function, "Version": "$LATEST"}, *self.versions.values()]}

    def delete_version(self, call: dict[str, Any]) -> dict[str, Any]:
        assert call["Qualifier"] != self.alias["FunctionVersion"]
        del self.versions[call["Qualifier"]]
        return {}

    def list_layers(self, _: dict[str, Any]) -> dict[str, Any]:
        rows = [{"Version": number, "LayerVersionArn": f"{LAYERS}:{number}"} for number in self.layers]
        return {"LayerVersions": rows}

    def delete_layer(self, call: dict[str, Any]) -> dict[str, Any]:
        del self.layers[call["VersionNumber"]]
        return {}

    def publish(self, message: dict[str, str]) -> dict[str, str]:
        self.messages.append(message)
        return {"MessageId": "1"}

    def deploy(self, code: str) -> None:
        """CloudFormation updates the function's code, with the layer that the parameter names."""
        self.function["CodeSha256"] = code
        self.update_configuration({"Layers": [self.parameters[LAYER]]})

    def before(self, call: str, happening: Callable[[dict[str, Any]], None]) -> None:
        """Let ``happening`` come just before the first ``call``."""
        works = self.handlers[call]
        done: list[bool] = []

        def interrupted(arguments: dict[str, Any]) -> Any:
            if not done:
                done.append(True)
                happening(arguments)
            return works(arguments)

        self.handlers[call] = interrupted

    def fail(self, call: str, error: str = "Lambda.InvalidParameterValueException") -> None:
        def refuse(_: dict[str, Any]) -> Any:
            raise ServiceError(error, f"{call} was refused")

        self.handlers[call] = refuse

    def run(self, input: Any, *, locked: bool = False) -> Run:
        """Run a release; it must leave the lock free, or another's, unless it stays ``locked``."""
        result = execute("release", self.values, input, self.handlers, run="release-1")
        assert locked or not self.lock or self.lock["holder"]["S"] == "someone"
        return result


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def released(world: World) -> World:
    """Package 1 is live."""
    assert world.run(approval(1, "2026-03-01T10:00:00Z")).status == "SUCCEEDED"
    world.moves.clear()
    world.messages.clear()
    return world


def test_values_fill_every_placeholder() -> None:
    assert set(VALUES) == placeholders("release")


def test_given_an_approval_when_released_then_callers_meet_the_checked_version(world: World) -> None:
    run = world.run(approval(1, "2026-03-01T10:00:00Z"))
    assert run.status == "SUCCEEDED", run.cause
    assert run.output == {
        "outcome": "released", "reason": "approval", "package": package(1), "function_version": "2",
        "note": "",
    }  # fmt: skip
    assert world.served == ("code-1", f"{LAYERS}:1")
    assert world.moves == ["2"]
    assert run.path.index("AnswersRightly") < run.path.index("MoveAlias") < run.path.index("Probe")
    assert world.parameters[LAYER] == f"{LAYERS}:1"
    assert world.champion == {
        "package": package(1), "version": "run-1", "bundle": "s3://millrace-models/flights/runs/run-1/bundle/",
        "layer": f"{LAYERS}:1", "function_version": "2", "approved_at": "2026-03-01T10:00:00Z",
    }  # fmt: skip
    assert "Model run-1 of flights is live" in world.messages[0]["Message"]


def test_when_checked_then_that_very_version_is_called_as_the_api_would(world: World) -> None:
    run = world.run(approval(1, "2026-03-01T10:00:00Z"))
    call = run.arguments("Check")
    assert call["FunctionName"] == f"{PREFIX}:function:{FUNCTION}:2"
    assert call["Payload"]["body"] == '{"records":[{},{}]}'
    assert call["Payload"]["pathParameters"] == {"model": "flights"}
    assert run.arguments("Probe")["Payload"]["version"] == "run-1"


def test_given_the_same_approval_again_when_released_then_nothing_changes(released: World) -> None:
    run = released.run(approval(1, "2026-03-01T10:00:00Z"))
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "already live")
    assert not released.moves
    assert not released.messages
    assert list(released.layers) == [1]


def test_given_an_older_approval_when_it_comes_late_then_the_newer_stays(released: World) -> None:
    run = released.run(approval(2, "2026-03-01T09:59:59Z"))
    assert (run.status, run.output["outcome"].split(",")[0]) == ("SUCCEEDED", f"superseded by {package(1)}")
    assert released.champion["package"] == package(1)


def test_given_an_operators_request_when_it_names_an_older_package_then_it_goes_live(released: World) -> None:
    released.run(approval(2, "2026-03-02T10:00:00Z"))
    run = released.run(request(1))
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "released")
    assert released.champion["package"] == package(1)


def test_given_an_event_of_a_package_rejected_since_then_nothing_changes(released: World) -> None:
    released.packages[package(2)] = "Rejected"
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "the package is Rejected by now")
    assert not released.moves


@pytest.mark.parametrize(
    ("input", "error"),
    [
        (request(2), "Millrace.PackageNotApproved"),
        ({"reason": "request", "package": package(1).replace(GROUP, "other")}, "Millrace.ForeignPackage"),
        ({"reason": "whim"}, "Millrace.InputNotUnderstood"),
        ({"reason": "request", "package": 7}, "Millrace.InputNotUnderstood"),
        ({"reason": "request", "package": ""}, "Millrace.InputNotUnderstood"),
        ({"reason": "request", "package": None}, "Millrace.InputNotUnderstood"),
        ({}, "Millrace.InputNotUnderstood"),
    ],
)
def test_given_a_request_that_may_not_be_met_then_it_fails_and_says_why(
    released: World, input: dict[str, str], error: str
) -> None:
    released.packages[package(2)] = "PendingManualApproval"
    released.packages[package(1).replace(GROUP, "other")] = "Approved"
    run = released.run(input)
    assert (run.status, run.error) == ("FAILED", error)
    assert not released.moves
    assert run.cause in released.messages[0]["Message"]


def test_given_nothing_released_when_deployed_then_there_is_nothing_to_do(world: World) -> None:
    run = world.run(DEPLOY)
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "nothing has been released yet")
    assert world.alias["FunctionVersion"] == "1"


def test_given_new_code_when_deployed_then_it_goes_live_with_the_same_model(released: World) -> None:
    released.deploy("code-2")
    assert released.served[0] == "code-1"
    run = released.run(DEPLOY)
    assert run.status == "SUCCEEDED", run.cause
    assert released.served == ("code-2", f"{LAYERS}:1")
    assert "PublishLayer" not in run.path
    assert released.champion["approved_at"] == "2026-03-01T10:00:00Z"
    assert released.champion["function_version"] == "3"


def test_given_a_deploy_that_put_an_old_layer_back_then_the_champions_is_there(released: World) -> None:
    released.parameters[LAYER] = SEED
    released.deploy("code-2")
    assert released.run(DEPLOY).status == "SUCCEEDED"
    assert released.served == ("code-2", f"{LAYERS}:1")
    assert released.parameters[LAYER] == f"{LAYERS}:1"


def test_given_a_changed_setting_when_deployed_then_it_goes_live(released: World) -> None:
    released.function["Timeout"] = 20
    assert released.run(DEPLOY).output["outcome"] == "released"
    assert released.versions[released.alias["FunctionVersion"]]["Timeout"] == 20


def test_given_a_deploy_amid_a_release_when_published_then_the_new_model_is_what_is_published(
    released: World,
) -> None:
    released.before("lambda:publishVersion", lambda _: released.deploy("code-2"))
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert run.status == "SUCCEEDED", run.cause
    assert released.served == ("code-2", f"{LAYERS}:2")
    assert run.path.count("ApplyLayer") == 2


def test_given_the_function_is_being_updated_when_released_then_it_waits(released: World) -> None:
    def busy(_: dict[str, Any]) -> None:
        raise ServiceError("Lambda.ResourceConflictException", "An update is in progress")

    released.before("lambda:updateFunctionConfiguration", busy)
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).status == "SUCCEEDED"


def test_given_snapshots_when_published_then_the_version_is_awaited(released: World) -> None:
    released.function["SnapStart"] = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    looked: list[str] = []
    works = released.handlers["lambda:getFunctionConfiguration"]

    def slow(call: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = works(call)
        if call.get("Qualifier") == "3":
            looked.append("")
            on = len(looked) > 3
            state = "Active" if on else "Pending"
            snapshot = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On" if on else "Off"}
            reply |= {"State": state, "SnapStart": snapshot}
        return reply

    released.handlers["lambda:getFunctionConfiguration"] = slow
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert run.status == "SUCCEEDED", run.cause
    assert run.path.count("WaitForVersion") == 3


def test_given_a_held_lock_when_its_lease_ended_then_the_release_goes_on(released: World) -> None:
    released.lock = {"holder": {"S": "someone"}, "lease_ends": {"N": str(int(time.time()) - 1)}}
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).output["outcome"] == "released"


def test_given_a_held_lock_when_it_is_freed_then_the_release_goes_on(released: World) -> None:
    released.lock = {"holder": {"S": "someone"}, "lease_ends": {"N": str(int(time.time()) + 999)}}
    tries: list[str] = []
    works = released.handlers["dynamodb:putItem"]

    def freed_later(call: dict[str, Any]) -> Any:
        tries.append("")
        if len(tries) == 3:
            released.lock = {}
        return works(call)

    released.handlers["dynamodb:putItem"] = freed_later
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).output["outcome"] == "released"


def test_given_a_lock_never_freed_when_patience_ends_then_it_fails_and_leaves_it(released: World) -> None:
    released.lock = {"holder": {"S": "someone"}, "lease_ends": {"N": str(int(time.time()) + 9999)}}
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error) == ("FAILED", "Millrace.ReleaseBusy")
    assert released.lock["holder"] == {"S": "someone"}


FAILURES = [
    "sagemaker:describeModelPackage", "lambda:getAlias", "lambda:getFunctionConfiguration",
    "lambda:publishLayerVersion", "lambda:publishVersion", "lambda:updateAlias", "s3:getObject",
    "lambda:invoke",
]  # fmt: skip


@pytest.mark.parametrize("call", FAILURES)
def test_given_a_failing_call_when_released_then_all_is_as_before(released: World, call: str) -> None:
    served, pointers = released.served, dict(released.parameters)
    latest = copy.deepcopy(released.function["Layers"])
    released.fail(call)
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.cause) == ("FAILED", f"{call} was refused")
    assert (released.served, released.function["Layers"], released.parameters) == (served, latest, pointers)
    assert not released.lock
    assert "What was live before is live." in released.messages[0]["Message"]


def test_given_a_lost_answer_of_the_update_when_undone_then_the_former_layer_is_back(released: World) -> None:
    works, calls = released.handlers["lambda:updateFunctionConfiguration"], []

    def lost(call: dict[str, Any]) -> Any:
        calls.append(works(call))
        if len(calls) == 1:
            raise ServiceError("States.Timeout", "")
        return calls[-1]

    released.handlers["lambda:updateFunctionConfiguration"] = lost
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).error == "States.Timeout"
    assert released.function["Layers"] == [{"Arn": f"{LAYERS}:1"}]


@pytest.mark.parametrize("wrong", [0.2002, 0.9])
def test_given_wrong_answers_when_checked_then_no_caller_meets_them(released: World, wrong: float) -> None:
    released.answers["2"] = wrong
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error) == ("FAILED", "Millrace.WrongAnswer")
    assert str(wrong) in run.cause
    assert not released.moves
    assert released.champion["package"] == package(1)


@pytest.mark.parametrize(
    "reply",
    [
        {"statusCode": 503, "body": '{"title": "no model"}'},
        {"statusCode": 200, "body": '{"version": "run-2", "predictions": []}'},
        {
            "statusCode": 200,
            "body": '{"version": "run-1", "predictions": [{"probability": 0.2}, {"probability": 0.5}]}',
        },
        {"statusCode": 200, "body": '{"version": "run-2", "predictions": [{}, {}]}'},
        {"errorMessage": "no handler"},
    ],
)
def test_given_another_reply_than_asked_when_checked_then_it_is_refused(released: World, reply: Any) -> None:
    released.handlers["lambda:invoke"] = lambda _: {"Payload": reply}
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert run.status == "FAILED"
    assert not released.moves


def test_given_a_failing_probe_when_live_then_the_alias_moves_back(released: World) -> None:
    works = released.handlers["lambda:invoke"]

    def refused(call: dict[str, Any]) -> Any:
        if call["FunctionName"] == VALUES["Probe"]:
            said = {"errorMessage": "the API answered 502", "errorType": "AnswerError"}
            raise ServiceError("AnswerError", json.dumps(said))
        return works(call)

    released.handlers["lambda:invoke"] = refused
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error, run.cause) == ("FAILED", "AnswerError", "the API answered 502")
    assert released.moves == ["3", "2"]
    assert released.function["Layers"] == [{"Arn": f"{LAYERS}:1"}]


@pytest.mark.parametrize("pointer", [LAYER, CHAMPION])
def test_given_a_pointer_not_written_then_both_are_as_before(released: World, pointer: str) -> None:
    pointers, works = dict(released.parameters), released.handlers["ssm:putParameter"]
    refused: list[str] = []

    def refuse_once(call: dict[str, Any]) -> Any:
        if call["Name"] == pointer and not refused:
            refused.append(pointer)
            raise ServiceError("Ssm.ParameterLimitExceededException", "too many")
        return works(call)

    released.handlers["ssm:putParameter"] = refuse_once
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).cause == "too many"
    assert released.parameters == pointers
    assert released.served == ("code-1", f"{LAYERS}:1")


def test_given_an_alias_that_someone_else_moved_when_failing_then_it_is_left_alone(released: World) -> None:
    def elsewhere(_: dict[str, Any]) -> None:
        released.alias = {"FunctionVersion": "1", "RevisionId": "other"}

    released.before("lambda:updateAlias", elsewhere)
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error) == ("FAILED", "Lambda.PreconditionFailedException")
    assert released.alias["FunctionVersion"] == "1"


def test_given_undoing_that_fails_too_then_it_goes_on_and_says_so(released: World) -> None:
    works = released.handlers["lambda:invoke"]

    def refused(call: dict[str, Any]) -> Any:
        if call["FunctionName"] == VALUES["Probe"]:
            for later in ("lambda:getAlias", "lambda:updateFunctionConfiguration", "dynamodb:deleteItem"):
                released.fail(later)
            raise ServiceError("AnswerError", "the API answered 502")
        return works(call)

    released.handlers["lambda:invoke"] = refused
    run = released.run(approval(2, "2026-03-02T10:00:00Z"), locked=True)
    assert run.cause.startswith("the API answered 502 | then SeeAlias failed too")
    assert all(state in run.cause for state in ("RestoreLayer", "UnlockAfterFailure"))
    assert "could not go back wholly" in released.messages[0]["Message"]


def test_given_a_lock_lost_to_another_release_then_nothing_is_moved_or_undone(released: World) -> None:
    def overtaken(_: dict[str, Any]) -> None:
        released.lock["holder"] = {"S": "someone"}

    released.before("s3:getObject", overtaken)
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error) == ("FAILED", "DynamoDB.ConditionalCheckFailedException")
    assert not released.moves
    assert not {"RestoreLayer", "UnlockAfterFailure"} & set(run.path)
    assert "could not go back wholly" in released.messages[0]["Message"]


def test_when_about_to_move_the_alias_then_the_lease_is_renewed(released: World) -> None:
    ends: list[int] = []

    def note(_: dict[str, Any]) -> None:
        ends.append(int(released.lock["lease_ends"]["N"]) - int(time.time()))

    def age(_: dict[str, Any]) -> None:
        released.lock["lease_ends"] = {"N": str(int(time.time()) + 1)}

    released.before("s3:getObject", age)
    released.before("lambda:updateAlias", note)
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).status == "SUCCEEDED"
    assert ends[0] > 2600


@pytest.fixture
def hosting(released: World) -> World:
    """Package 1 is live, behind an endpoint too."""
    released.add_endpoint()
    assert released.run(DEPLOY).output["outcome"] == "released"
    released.moves.clear()
    released.messages.clear()
    return released


def test_given_no_endpoint_when_released_then_nothing_is_asked_of_one(world: World) -> None:
    run = world.run(approval(1, "2026-03-01T10:00:00Z"))
    assert not world.children
    assert "endpoint" not in world.messages[0]["Message"]
    assert not {"ReadEndpoint", "ReleaseEndpoint", "RecordEndpoint"} & set(run.path)


def test_given_an_endpoint_when_released_then_it_comes_between_the_check_and_the_alias(
    hosting: World,
) -> None:
    former = hosting.hosted
    run = hosting.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.output["note"]) == ("SUCCEEDED", "untidy"), run.cause
    assert run.path.index("AnswersRightly") < run.path.index("ReleaseEndpoint") < run.path.index("MoveAlias")
    assert run.path.index("RecordEndpoint") < run.path.index("RecordChampion")
    asked = hosting.children[-1]
    assert (asked["action"], asked["version"], asked["former"]) == ("release", "run-2", former)
    assert asked["bundle"] == "s3://millrace-models/flights/runs/run-2/bundle/"
    assert asked["checks"]["probabilities"] == [0.2, 0.5]
    assert json.loads(hosting.parameters[ENDPOINT]) == hosting.hosted
    assert "behind the endpoint millrace-dev-flights" in hosting.messages[0]["Message"]


def test_given_an_endpoint_that_is_new_to_the_environment_when_deployed_then_it_serves_the_champion(
    released: World,
) -> None:
    released.add_endpoint()
    assert released.run(DEPLOY).output["outcome"] == "released"
    assert released.hosted["version"] == "run-1"
    assert released.served == ("code-1", f"{LAYERS}:1")
    assert json.loads(released.parameters[ENDPOINT])["version"] == "run-1"


def test_given_the_same_approval_again_when_all_is_live_then_nothing_changes(hosting: World) -> None:
    before = dict(hosting.parameters)
    run = hosting.run(approval(1, "2026-03-01T10:00:00Z"))
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "already live")
    assert (hosting.parameters, hosting.moves, hosting.messages) == (before, [], [])


def test_given_an_endpoint_that_fails_then_all_is_as_before_and_the_childs_cause_is_told(
    hosting: World,
) -> None:
    served, pointers, works = (
        hosting.served,
        dict(hosting.parameters),
        hosting.handlers["states:startExecution"],
    )

    def refuse(call: dict[str, Any]) -> Any:
        if call["Input"]["action"] == "restore":
            return works(call)
        child = {
            "ExecutionArn": "arn",
            "Status": "FAILED",
            "Error": "Millrace.WrongAnswer",
            "Cause": "it is off",
        }
        raise ServiceError("States.TaskFailed", json.dumps(child))

    hosting.handlers["states:startExecution"] = refuse
    run = hosting.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error, run.cause) == ("FAILED", "Millrace.WrongAnswer", "it is off")
    assert (hosting.served, hosting.parameters, hosting.hosted["version"]) == (served, pointers, "run-1")
    assert not hosting.moves
    assert "What was live before is live." in hosting.messages[0]["Message"]


@pytest.mark.parametrize("failing", ["lambda:updateAlias", "ssm:putParameter"])
def test_given_a_failure_after_the_endpoint_then_it_goes_back_too(hosting: World, failing: str) -> None:
    served, pointers, hosted = hosting.served, dict(hosting.parameters), hosting.hosted

    def refuse(_: dict[str, Any]) -> None:
        raise ServiceError("Lambda.InvalidParameterValueException", "refused")

    hosting.before(failing, refuse)
    run = hosting.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.cause) == ("FAILED", "refused")
    assert (hosting.served, hosting.parameters, hosting.hosted) == (served, pointers, hosted)
    assert hosting.children[-1]["version"] == "run-2"


def test_given_a_first_release_behind_an_endpoint_that_fails_then_the_pointer_says_none(world: World) -> None:
    world.add_endpoint()
    world.fail("lambda:updateAlias")
    assert world.run(approval(1, "2026-03-01T10:00:00Z")).status == "FAILED"
    assert world.parameters[ENDPOINT] == "none"
    assert world.hosted == {}


def test_given_an_endpoint_that_cannot_go_back_then_it_is_told(hosting: World) -> None:
    def refuse(_: dict[str, Any]) -> Any:
        raise ServiceError("States.TaskFailed", '{"Status": "ABORTED"}')

    hosting.handlers["states:startExecution"] = refuse
    run = hosting.run(approval(2, "2026-03-02T10:00:00Z"))
    assert run.error == "States.TaskFailed"
    assert "RestoreEndpoint failed too" in run.cause
    assert "could not go back wholly" in hosting.messages[0]["Message"]
    assert not hosting.lock


def test_given_many_releases_when_tidied_then_live_former_and_bootstrap_stay(released: World) -> None:
    for minute, number in enumerate([2, 3, 2, 1]):
        assert released.run(approval(number, f"2026-03-02T10:0{minute}:00Z")).status == "SUCCEEDED"
    assert set(released.versions) == {"1", "5", "6"}
    assert sorted(released.layers) == [4, 5]
    assert released.served == ("code-1", f"{LAYERS}:5")


@pytest.mark.parametrize(
    "call", ["lambda:deleteFunction", "lambda:listVersionsByFunction", "lambda:listLayerVersions"]
)
def test_given_tidying_that_fails_then_the_release_stands_and_says_so(released: World, call: str) -> None:
    released.run(approval(2, "2026-03-02T10:00:00Z"))
    released.fail(call)
    run = released.run(approval(3, "2026-03-03T10:00:00Z"))
    assert (run.status, run.output["outcome"]) == ("SUCCEEDED", "released")
    assert "could not all be deleted" in run.output["note"]
    assert not released.lock


def test_given_an_unreachable_topic_when_released_then_the_release_stands(released: World) -> None:
    released.fail("sns:publish")
    assert released.run(approval(2, "2026-03-02T10:00:00Z")).output["outcome"] == "released"


def test_given_a_first_release_that_fails_then_there_is_still_no_model(world: World) -> None:
    world.answers["1"] = 0.9
    assert world.run(approval(1, "2026-03-01T10:00:00Z")).status == "FAILED"
    assert world.champion == {}
    assert world.parameters[LAYER] == SEED
    assert world.function["Layers"] == [{"Arn": SEED}]


def test_waits_are_bounded(released: World) -> None:
    released.function["LastUpdateStatus"] = "InProgress"
    run = released.run(approval(2, "2026-03-02T10:00:00Z"))
    assert (run.status, run.error) == ("FAILED", "Millrace.FunctionNotReady")
    assert len(machine("release")["States"]) < len(run.path) < 400


def test_every_state_is_run(world: World) -> None:
    """Each call's arguments are checked as it runs, so a state that no run enters is a call unchecked."""

    def held(_: dict[str, Any]) -> None:
        raise ServiceError("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")

    def slow(call: dict[str, Any]) -> dict[str, Any]:
        reply: dict[str, Any] = works(call)
        looks.append(call)
        # The first looks at the updated function and at the published version.
        if len(looks) in (3, 5):
            reply |= {"State": "Pending", "LastUpdateStatus": "InProgress"}
        return reply

    world.add_endpoint()
    works, looks = world.handlers["lambda:getFunctionConfiguration"], list[Any]()
    world.before("dynamodb:putItem", held)
    paths = set(world.run(approval(1, "2026-03-01T10:00:00Z")).path)
    world.handlers["lambda:getFunctionConfiguration"] = slow
    paths |= set(world.run(approval(2, "2026-03-02T10:00:00Z")).path)
    world.handlers["lambda:getFunctionConfiguration"] = works
    paths |= set(world.run(approval(2, "2026-03-02T10:00:00Z")).path)
    world.fail("ssm:putParameter")
    paths |= set(world.run(approval(3, "2026-03-03T10:00:00Z")).path)
    assert paths == set(machine("release")["States"])
