"""The endpoint's machine, run against a small model of SageMaker's endpoints, their scaling and the lock."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from infra.machines import machine, placeholders

from .interpreter import Handler, Run, ServiceError, execute

NAME = "millrace-dev-flights"
ROLE = "arn:aws:iam::000000000000:role/endpoint"
RELEASE = "arn:aws:states:us-east-1:000000000000:execution:release"
VALUES = {
    "Environment": "dev", "Workload": "flights", "EndpointName": NAME, "Prefix": NAME,
    "Image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/millrace@sha256:" + "a" * 64,
    "ExecutionRole": ROLE, "Instance": "ml.c7g.large", "Instances": "2", "Most": "4", "Invocations": "3000",
    "CanaryPercent": "10", "CanarySeconds": "300", "DeploySeconds": "2100", "PollSeconds": "15",
    "Alarms": "millrace-dev-flights-endpoint-errors,millrace-dev-flights-endpoint-latency",
    "VolumeKey": "arn:aws:kms:us-east-1:000000000000:key/models", "Subnets": "none", "SecurityGroups": "none",
    "ReleasesTable": "millrace-dev-flights-releases",
}  # fmt: skip
SLOW = {"Creating": "InService", "Updating": "InService"}
KEPT = ("models", "configs", "endpoint", "target", "policy", "looks", "releases")


class World:
    """SageMaker, as far as the machine sees it. Model N says N/10; a status lasts for two looks."""

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoint: dict[str, Any] = {}
        self.looks = 0
        self.ending = dict(SLOW)
        self.reason = ""
        self.releases = 0
        self.thief = ""
        self.target: dict[str, Any] = {}
        self.policy: dict[str, Any] = {}
        self.answers: dict[str, float] = {}
        self.updates: list[dict[str, Any]] = []
        self.handlers: dict[str, Handler] = {
            "dynamodb:updateItem": self.renew,
            "sagemaker:listEndpoints": self.list_endpoints,
            "sagemaker:describeEndpoint": self.describe,
            "sagemaker:createModel": lambda call: self.create(self.models, call, "ModelName", "ModelArn"),
            "sagemaker:describeModel": lambda call: self.read(self.models, call["ModelName"]),
            "sagemaker:deleteModel": lambda call: self.delete(self.models, call["ModelName"]),
            "sagemaker:listModels": lambda _: {"Models": [{"ModelName": name} for name in self.models]},
            "sagemaker:createEndpointConfig": lambda call: self.create(
                self.configs, call, "EndpointConfigName", "EndpointConfigArn"
            ),
            "sagemaker:describeEndpointConfig": lambda call: self.read(
                self.configs, call["EndpointConfigName"]
            ),
            "sagemaker:deleteEndpointConfig": lambda call: self.delete(
                self.configs, call["EndpointConfigName"]
            ),
            "sagemaker:listEndpointConfigs": lambda _: {
                "EndpointConfigs": [{"EndpointConfigName": name} for name in self.configs]
            },
            "sagemaker:createEndpoint": self.create_endpoint,
            "sagemaker:updateEndpoint": self.update_endpoint,
            "sagemaker:deleteEndpoint": self.delete_endpoint,
            "sagemakerruntime:invokeEndpoint": self.invoke,
            "applicationautoscaling:registerScalableTarget": self.register,
            "applicationautoscaling:deregisterScalableTarget": self.deregister,
            "applicationautoscaling:putScalingPolicy": self.put_policy,
        }

    def renew(self, call: dict[str, Any]) -> dict[str, Any]:
        assert call["ExpressionAttributeValues"][":me"]["S"] == f"{RELEASE}:{self.releases}"
        if self.thief:
            raise ServiceError("DynamoDB.ConditionalCheckFailedException", "The conditional request failed")
        return {}

    def list_endpoints(self, _: dict[str, Any]) -> dict[str, Any]:
        other = {"EndpointName": f"{NAME}-eu", "EndpointStatus": "InService"}
        return {"Endpoints": [other, *([self.summary()] if self.endpoint else [])]}

    def summary(self) -> dict[str, Any]:
        self.looks += 1
        status = self.endpoint["EndpointStatus"]
        if self.looks > 2 and status in self.ending:
            self.settle(self.ending[status])
        elif self.looks > 2 and status == "Deleting":
            self.endpoint = {}
            return {"EndpointName": "gone", "EndpointStatus": "Deleting"}
        return {"EndpointName": NAME, "EndpointStatus": self.endpoint["EndpointStatus"]}

    def settle(self, ending: str) -> None:
        wanted = self.endpoint.pop("wanted", None)
        self.endpoint["EndpointStatus"] = ending.removesuffix(" of the former")
        if wanted and not ending.endswith("former"):
            self.endpoint["EndpointConfigName"] = wanted
        if self.reason:
            self.endpoint["FailureReason"] = self.reason

    def describe(self, _: dict[str, Any]) -> dict[str, Any]:
        shown = {key: value for key, value in self.endpoint.items() if key != "wanted"}
        config = self.configs[shown["EndpointConfigName"]]["ProductionVariants"][0]
        count = self.endpoint.get("count", config["InitialInstanceCount"])
        variant = {"VariantName": "live", "DesiredInstanceCount": count}
        return {
            **{key: value for key, value in shown.items() if key != "count"},
            "ProductionVariants": [variant],
        }

    def create(self, store: dict[str, Any], call: dict[str, Any], name: str, arn: str) -> dict[str, Any]:
        assert call[name] not in store
        store[call[name]] = {key: value for key, value in call.items() if key != "Tags"}
        return {arn: "arn"}

    def read(self, store: dict[str, Any], name: str) -> dict[str, Any]:
        if name not in store:
            raise ServiceError("SageMaker.SageMakerException", f"Could not find {name}")
        return dict(store[name])

    def delete(self, store: dict[str, Any], name: str) -> dict[str, Any]:
        if name not in store:
            raise ServiceError("SageMaker.SageMakerException", f"Could not find {name}")
        assert name != self.endpoint.get("EndpointConfigName")
        del store[name]
        return {}

    def create_endpoint(self, call: dict[str, Any]) -> dict[str, Any]:
        assert not self.endpoint
        self.looks = 0
        self.endpoint = {
            "EndpointName": NAME, "EndpointStatus": "Creating",
            "EndpointConfigName": call["EndpointConfigName"],
        }  # fmt: skip
        return {"EndpointArn": "arn"}

    def update_endpoint(self, call: dict[str, Any]) -> dict[str, Any]:
        assert not self.target, "SageMaker may refuse while scaling watches"
        assert call["EndpointConfigName"] in self.configs
        self.updates.append(call)
        self.looks = 0
        self.endpoint |= {"EndpointStatus": "Updating", "wanted": call["EndpointConfigName"]}
        return {"EndpointArn": "arn"}

    def delete_endpoint(self, _: dict[str, Any]) -> dict[str, Any]:
        self.looks = 0
        self.endpoint["EndpointStatus"] = "Deleting"
        self.target = {}
        return {}

    def invoke(self, call: dict[str, Any]) -> dict[str, Any]:
        assert call["Body"] == {"records": [{}, {}]}
        assert self.endpoint["EndpointStatus"] == "InService"
        model = self.models[self.live["ProductionVariants"][0]["ModelName"]]
        bundle = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
        number = bundle.split("/run-")[1].split("/")[0]
        said = self.answers.get(number, int(number) / 10)
        body = {"version": f"run-{number}", "predictions": [{"probability": said}, {"probability": 0.5}]}
        return {"Body": json.dumps(body), "ContentType": "application/json"}

    def register(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self.endpoint["EndpointStatus"] == "InService"
        self.target = call
        return {"ScalableTargetARN": "arn"}

    def deregister(self, _: dict[str, Any]) -> dict[str, Any]:
        if not self.target:
            raise ServiceError("ApplicationAutoScaling.ObjectNotFoundException", "No scalable target found")
        self.target, self.policy = {}, {}
        return {}

    def put_policy(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self.target["ResourceId"] == call["ResourceId"]
        self.policy = call
        return {"PolicyARN": "arn", "Alarms": []}

    @property
    def live(self) -> dict[str, Any]:
        """The configuration in force."""
        return self.configs[self.endpoint["EndpointConfigName"]]

    @property
    def state(self) -> Any:
        """All that a failed release must leave as it was."""
        return json.loads(json.dumps([self.endpoint | {"FailureReason": ""}, self.models, self.configs,
                                      self.target, self.policy]))  # fmt: skip

    def fail(self, call: str, error: str = "SageMaker.SageMakerException", times: int = 99) -> None:
        works, refused = self.handlers[call], list[int]()

        def refuse(arguments: dict[str, Any]) -> Any:
            refused.append(1)
            if len(refused) > times:
                return works(arguments)
            raise ServiceError(error, f"{call} was refused")

        self.handlers[call] = refuse

    def release(self, number: int, former: dict[str, Any] | None = None, **values: str) -> Run:
        self.releases += 1
        return self.run(
            {
                "action": "release", "holder": f"{RELEASE}:{self.releases}", "version": f"run-{number}",
                "bundle": f"s3://millrace-models/flights/runs/run-{number}/bundle/", "former": former or {},
                "checks": {
                    "request": '{"records":[{},{}]}', "probabilities": [number / 10, 0.5], "tolerance": 1e-4
                },
            },
            **values,
        )  # fmt: skip

    def restore(self, number: int, former: dict[str, Any]) -> Run:
        return self.run(
            {
                "action": "restore",
                "holder": f"{RELEASE}:{self.releases}",
                "version": f"run-{number}",
                "former": former,
            }
        )

    def run(self, input: Any, **values: str) -> Run:
        return execute("endpoint", {**VALUES, **values}, input, self.handlers)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def after_the_first() -> tuple[dict[str, Any], dict[str, Any]]:
    """What there is once model 1 is in service, and what Release keeps of it; made once."""
    world = World()
    run = world.release(1)
    assert run.status == "SUCCEEDED", run.cause
    return {name: getattr(world, name) for name in KEPT}, run.output["endpoint"]


@pytest.fixture
def pointer(world: World, after_the_first: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    """What Release keeps once model 1 is in service, as it is in this world."""
    state, kept = copy.deepcopy(after_the_first)
    for name, value in state.items():
        setattr(world, name, value)
    return kept


def test_values_fill_every_placeholder() -> None:
    assert set(VALUES) == placeholders("endpoint")


def test_given_no_endpoint_when_released_then_it_is_made_checked_and_scales(world: World) -> None:
    run = world.release(1)
    assert run.status == "SUCCEEDED", run.cause
    name = world.endpoint["EndpointConfigName"]
    assert run.output == {
        "changed": True, "former": {}, "note": "",
        "endpoint": {"endpoint": NAME, "config": name, "model": name, "version": "run-1"},
    }  # fmt: skip
    assert run.path.index("CreateEndpoint") < run.path.index("Check") < run.path.index("RegisterScaling")
    assert world.target["MinCapacity"] == 2
    assert world.target["MaxCapacity"] == 4
    target = world.policy["TargetTrackingScalingPolicyConfiguration"]
    assert target["TargetValue"] == 3000
    kind = target["PredefinedMetricSpecification"]["PredefinedMetricType"]
    assert kind == "SageMakerVariantInvocationsPerInstance"


def test_when_made_then_the_model_is_isolated_encrypted_and_not_captured(world: World) -> None:
    world.release(1)
    (model,), (config,) = world.models.values(), world.configs.values()
    assert model["EnableNetworkIsolation"] is True
    assert model["ExecutionRoleArn"] == ROLE
    assert "VpcConfig" not in model
    assert model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": "s3://millrace-models/flights/runs/run-1/bundle/",
        "S3DataType": "S3Prefix", "CompressionType": "None",
    }  # fmt: skip
    assert config["KmsKeyId"] == VALUES["VolumeKey"]
    assert "DataCaptureConfig" not in config
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c7g.large"


@pytest.mark.parametrize("subnets", ["subnet-1", "subnet-1,subnet-2"])
def test_given_a_network_when_released_then_the_containers_are_in_it(world: World, subnets: str) -> None:
    values = {"Subnets": subnets, "SecurityGroups": "sg-1"}
    assert world.release(1, None, **values).status == "SUCCEEDED"
    (model,) = world.models.values()
    assert model["VpcConfig"] == {"Subnets": subnets.split(","), "SecurityGroupIds": ["sg-1"]}
    assert world.release(1, None, **values).output["changed"] is False


def test_given_a_former_model_when_released_then_a_canary_watched_by_alarms_comes_first(
    world: World, pointer: dict[str, Any]
) -> None:
    run = world.release(2, pointer)
    assert run.status == "SUCCEEDED", run.cause
    deployment = world.updates[0]["DeploymentConfig"]
    routing = deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    size = {"Type": "CAPACITY_PERCENT", "Value": 10}
    assert routing == {"Type": "CANARY", "CanarySize": size, "WaitIntervalInSeconds": 300}
    assert deployment["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"] == 2100
    assert [one["AlarmName"] for one in deployment["AutoRollbackConfiguration"]["Alarms"]] == VALUES[
        "Alarms"
    ].split(",")
    assert run.output["former"] == pointer
    assert world.target, "it scales again"


def test_given_one_alarm_then_it_is_a_list_all_the_same(world: World, pointer: dict[str, Any]) -> None:
    assert world.release(2, pointer, Alarms="only").status == "SUCCEEDED"
    alarms = world.updates[0]["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    assert alarms == [{"AlarmName": "only"}]


def test_given_many_releases_when_tidied_then_the_former_stays_and_older_ones_go(
    world: World, pointer: dict[str, Any]
) -> None:
    world.models[f"{NAME}-eu-0123456789ab"] = world.models["somebody's"] = {}
    for number in (2, 3):
        run = world.release(number, pointer)
        former, pointer = pointer, run.output["endpoint"]
    kept = {former["config"], pointer["config"]}
    assert set(world.configs) == kept
    assert set(world.models) == kept | {f"{NAME}-eu-0123456789ab", "somebody's"}


def test_given_more_instances_by_now_when_released_then_there_are_no_fewer(
    world: World, pointer: dict[str, Any]
) -> None:
    world.endpoint["count"] = 3
    world.release(2, pointer)
    assert world.live["ProductionVariants"][0]["InitialInstanceCount"] == 3


def test_given_the_same_model_when_released_again_then_only_scaling_is_told(
    world: World, pointer: dict[str, Any]
) -> None:
    before = world.state
    run = world.release(1, pointer, Most="8")
    assert run.status == "SUCCEEDED", run.cause
    assert run.output["changed"] is False
    assert run.output["endpoint"] == pointer
    assert not world.updates
    assert world.state[:3] == before[:3]
    assert world.target["MaxCapacity"] == 8
    assert "Check" in run.path


@pytest.mark.parametrize(
    "values",
    [
        {"Image": "other@sha256:" + "b" * 64}, {"Instance": "ml.c8g.large"}, {"Instances": "3"},
        {"ExecutionRole": ROLE + "2"}, {"Subnets": "subnet-1", "SecurityGroups": "sg-1"},
    ],
    ids=lambda values: next(iter(values)),
)  # fmt: skip
def test_given_the_same_model_and_another_setting_then_the_endpoint_is_updated(
    world: World, pointer: dict[str, Any], values: dict[str, str]
) -> None:
    run = world.release(1, pointer, **values)
    assert (run.status, run.output["changed"]) == ("SUCCEEDED", True)
    assert run.output["endpoint"]["config"] != pointer["config"]
    assert len(world.updates) == 1


def test_given_sagemaker_went_back_by_itself_then_the_reason_is_told_and_nothing_is_left(
    world: World, pointer: dict[str, Any]
) -> None:
    before = world.state
    world.ending["Updating"] = "InService of the former"
    world.reason = "the alarm latency rang"
    run = world.release(2, pointer)
    assert (run.status, run.error) == ("FAILED", "Millrace.EndpointNotReady")
    assert "the alarm latency rang" in run.cause
    assert len(world.updates) == 1
    assert world.state == before


@pytest.mark.parametrize(
    "call",
    [
        "sagemaker:createModel", "sagemaker:createEndpointConfig", "sagemaker:updateEndpoint",
        "sagemaker:listEndpoints",
    ],
)  # fmt: skip
def test_given_a_failing_call_when_released_then_all_is_as_before(
    world: World, pointer: dict[str, Any], call: str
) -> None:
    before = world.state
    world.fail(call)
    run = world.release(2, pointer)
    assert (run.status, run.cause) == ("FAILED", f"{call} was refused")
    assert world.state == before


def test_given_wrong_answers_when_checked_then_the_former_model_is_back(
    world: World, pointer: dict[str, Any]
) -> None:
    before, world.answers["2"] = world.state, 0.9
    run = world.release(2, pointer)
    assert (run.status, run.error) == ("FAILED", "Millrace.WrongAnswer")
    assert "0.9" in run.cause
    assert [one["EndpointConfigName"] for one in world.updates][1:] == [pointer["config"]]
    assert world.state == before


def test_given_a_container_that_refuses_when_checked_then_the_former_model_is_back(
    world: World, pointer: dict[str, Any]
) -> None:
    before = world.state
    world.fail("sagemakerruntime:invokeEndpoint", "SageMakerRuntime.ModelErrorException")
    run = world.release(2, pointer)
    assert (run.status, run.error) == ("FAILED", "SageMakerRuntime.ModelErrorException")
    assert world.state == before


@pytest.mark.parametrize("call", ["registerScalableTarget", "putScalingPolicy"])
def test_given_scaling_that_fails_then_the_former_model_is_back_and_scales(
    world: World, pointer: dict[str, Any], call: str
) -> None:
    before = world.state
    world.fail(f"applicationautoscaling:{call}", "ApplicationAutoScaling.LimitExceededException", times=1)
    run = world.release(2, pointer)
    assert (run.status, run.cause) == ("FAILED", f"applicationautoscaling:{call} was refused")
    assert world.state == before


@pytest.mark.parametrize("ending", ["Failed", "wrong"])
def test_given_a_first_release_that_fails_then_nothing_is_left(world: World, ending: str) -> None:
    if ending == "Failed":
        world.ending["Creating"] = "Failed"
        world.reason = "no health"
    else:
        world.answers["1"] = 0.9
    run = world.release(1)
    assert run.status == "FAILED"
    assert ("no health" if ending == "Failed" else "0.9") in run.cause
    assert (world.endpoint, world.models, world.configs, world.target) == ({}, {}, {}, {})


def test_given_an_endpoint_that_never_came_up_when_released_then_it_is_made_anew(world: World) -> None:
    world.release(1)
    world.endpoint["EndpointStatus"] = "Failed"
    assert world.release(2).status == "SUCCEEDED"
    assert world.endpoint["EndpointStatus"] == "InService"
    assert not world.updates


def test_given_an_endpoint_and_no_pointer_when_failing_then_it_goes_back_to_what_it_was(
    world: World, pointer: dict[str, Any]
) -> None:
    before, world.answers["2"] = world.state, 0.9
    assert world.release(2).status == "FAILED"
    assert world.state == before
    assert pointer["config"] == world.endpoint["EndpointConfigName"]


def test_given_an_update_by_another_hand_when_released_then_it_is_awaited(
    world: World, pointer: dict[str, Any]
) -> None:
    world.endpoint |= {"EndpointStatus": "SystemUpdating"}
    world.ending["SystemUpdating"] = "InService"
    world.looks = 0
    assert world.release(2, pointer).status == "SUCCEEDED"


def test_given_an_update_that_never_ends_then_waiting_is_bounded(
    world: World, pointer: dict[str, Any]
) -> None:
    del world.ending["Updating"]
    run = world.release(2, pointer, PollSeconds="600")
    assert (run.status, run.error) == ("FAILED", "Millrace.EndpointNotReady")
    assert "still Updating" in run.cause
    assert len(run.path) < 120


def test_given_a_lock_lost_to_another_release_then_nothing_is_undone(
    world: World, pointer: dict[str, Any]
) -> None:
    world.thief = "another release"
    run = world.release(2, pointer)
    assert (run.status, run.error) == ("FAILED", "DynamoDB.ConditionalCheckFailedException")
    assert len(world.updates) == 1
    assert "Undo" not in run.path


def test_given_undoing_that_fails_too_then_both_are_told(world: World, pointer: dict[str, Any]) -> None:
    world.answers["2"] = 0.9
    works: Callable[[dict[str, Any]], Any] = world.handlers["sagemaker:updateEndpoint"]

    def once(call: dict[str, Any]) -> Any:
        if world.updates:
            raise ServiceError("SageMaker.ResourceLimitExceededException", "no instances left")
        return works(call)

    world.handlers["sagemaker:updateEndpoint"] = once
    run = world.release(2, pointer)
    assert (run.status, run.error) == ("FAILED", "Millrace.WrongAnswer")
    assert "ReturnEndpoint failed too" in run.cause
    assert "no instances left" in run.cause


def test_given_a_way_back_that_sagemaker_refuses_twice_then_it_is_told(
    world: World, pointer: dict[str, Any]
) -> None:
    assert world.release(2, pointer).status == "SUCCEEDED"
    world.ending["Updating"] = "InService of the former"
    run = world.restore(2, pointer)
    assert (run.status, run.error) == ("FAILED", "Millrace.EndpointNotRestored")
    assert pointer["config"] in run.cause


def test_given_a_release_that_failed_later_when_restored_then_the_former_is_back(
    world: World, pointer: dict[str, Any]
) -> None:
    before = world.state
    assert world.release(2, pointer).status == "SUCCEEDED"
    run = world.restore(2, pointer)
    assert run.status == "SUCCEEDED", run.cause
    assert world.state == before
    again = world.restore(2, pointer)
    assert again.status == "SUCCEEDED", again.cause
    assert world.state == before


def test_given_a_first_release_that_failed_later_when_restored_then_nothing_is_left(world: World) -> None:
    world.release(1)
    assert world.restore(1, {}).status == "SUCCEEDED"
    assert (world.endpoint, world.models, world.configs) == ({}, {}, {})


def test_given_an_endpoint_of_another_hand_when_restored_to_nothing_then_it_stays(
    world: World, pointer: dict[str, Any]
) -> None:
    before = world.state
    assert world.restore(2, {}).status == "SUCCEEDED"
    assert world.state == before
    assert pointer["config"] == world.endpoint["EndpointConfigName"]


def test_given_tidying_that_fails_then_the_release_stands_and_says_so(
    world: World, pointer: dict[str, Any]
) -> None:
    world.fail("sagemaker:listEndpointConfigs")
    run = world.release(2, pointer)
    assert (run.status, run.output["changed"]) == ("SUCCEEDED", True)
    assert "could not all be deleted" in run.output["note"]


@pytest.mark.parametrize("input", [{}, {"action": "whim"}, {"action": "release", "bundle": 7}])
def test_given_an_input_of_no_use_then_it_fails_and_says_what_it_wants(world: World, input: Any) -> None:
    run = world.run(input)
    assert (run.status, run.error) == ("FAILED", "Millrace.InputNotUnderstood")


def test_every_state_is_run(world: World) -> None:
    """Each call's arguments are checked as it runs, so a state that no run enters is a call unchecked."""
    first = world.release(1)
    paths, pointer = set(first.path), first.output["endpoint"]
    world.answers["2"] = 0.9
    paths |= set(world.release(2, pointer).path)
    world.configs["another"] = dict(world.live)
    world.ending["Updating"] = "InService of the former"
    paths |= set(world.restore(7, {"config": "another", "model": "another"}).path)
    world.ending["Updating"] = "InService"
    for number in (3, 4):
        run = world.release(number, pointer)
        pointer = run.output["endpoint"]
        paths |= set(run.path)
    paths |= set(world.restore(4, {}).path) | set(world.run({}).path)
    assert paths == set(machine("endpoint")["States"])
