"""An endpoint answers by a server of its own, through updates, failures and restarts, and leaves nothing."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import environment
from local.executors import process
from local.executors.container import free_port
from tests.functions.tiny_bundle import PARCEL, Tiny, make_bundle
from tests.local.conftest import connect, eventually

AWS = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/endpoint"
BODY = json.dumps({"records": [PARCEL]}).encode()
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/live/variant/live",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def put_bundle(s3: Any, bucket: str, name: str, folder: Path, *, spoil: bool = False) -> str:
    """Store a bundle whose version is ``name``; its address."""
    for file in make_bundle(folder / name, Tiny(version=name)).iterdir():
        body = file.read_bytes()
        cut = body[:-10] if spoil and file.suffix == ".onnx" else body
        s3.put_object(Bucket=bucket, Key=f"bundles/{name}/{file.name}", Body=cut)
    return f"s3://{bucket}/bundles/{name}/"


def put_config(sagemaker: Any, name: str, address: str) -> str:
    """Make a model and a configuration of it, both called ``name``."""
    source = {"S3Uri": address, "S3DataType": "S3Prefix", "CompressionType": "None"}
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        EnableNetworkIsolation=True,
        PrimaryContainer={"Image": "image", "ModelDataSource": {"S3DataSource": source}},
    )
    variant = {
        "VariantName": "live", "ModelName": name, "InstanceType": "ml.c7g.large", "InitialInstanceCount": 2
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    return name


def settled(sagemaker: Any, name: str = "live") -> dict[str, Any]:
    """The endpoint's description once nothing is done to it any more."""

    def look() -> Any:
        found = sagemaker.describe_endpoint(EndpointName=name)
        moving = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
        return None if found["EndpointStatus"] in moving else found

    return dict(eventually(look))


def version(runtime: Any, name: str = "live") -> str:
    reply = runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=BODY)
    return str(json.loads(reply["Body"].read())["version"])


@contextmanager
def callers(runtime: Any, count: int = 2) -> Iterator[list[str]]:
    """Callers who ask without a pause; gives the versions that answered, and errors as they came."""
    heard: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                heard.append(version(runtime))
            except Exception as error:
                heard.append(repr(error))
            time.sleep(0.01)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)


def canary(seconds: int, *alarms: str) -> dict[str, Any]:
    routing = {
        "Type": "CANARY", "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20},
        "WaitIntervalInSeconds": seconds,
    }  # fmt: skip
    watched = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in alarms]}}
    return {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}, **(watched if alarms else {})
    }  # fmt: skip


@pytest.fixture(scope="module")
def configs(aws: AWS, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A function that makes the configuration of a bundle, once for each name."""
    made: set[str] = set()

    def make(name: str, *, spoil: bool = False) -> str:
        if name not in made:
            made.add(name)
            address = put_bundle(aws("s3"), bucket, name, tmp_path_factory.mktemp(name), spoil=spoil)
            put_config(aws("sagemaker"), name, address)
        return name

    return make


@pytest.fixture(scope="module")
def live(aws: AWS, configs: Callable[..., str]) -> str:
    """An endpoint in service, with the bundle ``first``."""
    aws("sagemaker").create_endpoint(EndpointName="live", EndpointConfigName=configs("first"))
    found = settled(aws("sagemaker"))
    assert found["EndpointStatus"] == "InService", found
    return "live"


@pytest.fixture
def first(aws: AWS, live: str) -> str:
    """The endpoint, with the bundle ``first`` in force whatever a test did before."""
    if aws("sagemaker").describe_endpoint(EndpointName=live)["EndpointConfigName"] != "first":
        aws("sagemaker").update_endpoint(EndpointName=live, EndpointConfigName="first")
        settled(aws("sagemaker"))
    return live


def test_given_an_endpoint_in_service_then_the_real_server_answers(aws: AWS, first: str) -> None:
    reply = aws("sagemaker-runtime").invoke_endpoint(
        EndpointName=first, ContentType="application/json", Body=BODY
    )
    answer = json.loads(reply["Body"].read())
    assert answer["version"] == "first"
    assert answer["predictions"][0]["probability"] == pytest.approx(Tiny().probability(PARCEL), abs=1e-6)
    assert (reply["ContentType"], reply["InvokedProductionVariant"]) == ("application/json", "live")


def test_given_a_containers_refusal_then_the_caller_meets_a_model_error(aws: AWS, first: str) -> None:
    runtime = aws("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as refused:
        runtime.invoke_endpoint(EndpointName=first, ContentType="application/json", Body=b"{")
    error = refused.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["OriginalStatusCode"] == 400
    assert json.loads(error["OriginalMessage"])["status"] == 400


def test_given_custom_attributes_then_they_reach_the_container_and_its_answer_the_caller(
    aws: AWS, first: str
) -> None:
    reply = aws("sagemaker-runtime").invoke_endpoint(
        EndpointName=first, ContentType="application/json", Body=b"{",
        CustomAttributes="millrace=1;eyJyb3V0ZSI6Ii9oZWFsdGgiLCJtb2RlbCI6InBhcmNlbHMiLCJyZXF1ZXN0X2lkIjoiciJ9",
    )  # fmt: skip
    head, _, body = reply["Body"].read().partition(b"\n")
    assert json.loads(head)["status"] == 200
    assert json.loads(body)["version"] == "first"


@pytest.mark.parametrize(
    "call",
    [
        {"EndpointName": "nowhere", "Body": BODY},
        {"EndpointName": "live", "Body": b" " * 6_291_457},
        {"EndpointName": "live", "Body": BODY, "CustomAttributes": "a" * 1025},
    ],
    ids=["no endpoint", "body", "attributes"],
)
def test_given_a_request_that_aws_would_refuse_then_it_is_refused(
    aws: AWS, first: str, call: dict[str, Any]
) -> None:
    assert first == "live"
    with pytest.raises(ClientError) as refused:
        aws("sagemaker-runtime").invoke_endpoint(**call)
    assert refused.value.response["Error"]["Code"] == "ValidationError"


def test_given_a_canary_when_updated_then_it_gets_its_share_first_and_no_request_is_lost(
    aws: AWS, first: str, configs: Callable[..., str]
) -> None:
    sagemaker = aws("sagemaker")
    with callers(aws("sagemaker-runtime")) as heard:
        eventually(lambda: len(heard) > 20)
        sagemaker.update_endpoint(
            EndpointName=first, EndpointConfigName=configs("second"), DeploymentConfig=canary(100)
        )
        assert sagemaker.describe_endpoint(EndpointName=first)["EndpointStatus"] == "Updating"
        found = settled(sagemaker)
        told = len(heard)
        eventually(lambda: len(heard) > told + 20)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "second")
    assert set(heard) == {"first", "second"}, Counter(heard)
    assert set(heard[told + 2 :]) == {"second"}
    shifting = heard[heard.index("second") : len(heard) - heard[::-1].index("first")]
    assert 0.1 < shifting.count("second") / len(shifting) < 0.35, "a fifth went to the canary"


def test_given_a_broken_bundle_when_updated_then_the_old_one_answers_all_the_while(
    aws: AWS, first: str, configs: Callable[..., str]
) -> None:
    sagemaker = aws("sagemaker")
    with callers(aws("sagemaker-runtime"), 1) as heard:
        sagemaker.update_endpoint(
            EndpointName=first, EndpointConfigName=configs("broken", spoil=True), DeploymentConfig=canary(0)
        )
        found = settled(sagemaker)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "first")
    assert "model.onnx" in found["FailureReason"]
    assert set(heard) == {"first"}


def test_given_an_alarm_that_rings_when_updated_then_the_old_one_comes_back(
    aws: AWS, first: str, configs: Callable[..., str]
) -> None:
    sagemaker = aws("sagemaker")
    aws("cloudwatch").put_metric_alarm(
        AlarmName="bell", Namespace="Tests", MetricName="Trouble", Statistic="Sum", Period=60,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )  # fmt: skip
    sagemaker.update_endpoint(
        EndpointName=first, EndpointConfigName=configs("second"), DeploymentConfig=canary(3000, "bell")
    )
    aws("cloudwatch").put_metric_data(Namespace="Tests", MetricData=[{"MetricName": "Trouble", "Value": 1}])
    found = settled(sagemaker)
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "first")
    assert "bell" in found["FailureReason"]
    assert version(aws("sagemaker-runtime")) == "first"


def test_given_an_alarm_that_does_not_exist_when_updated_then_the_request_is_refused(
    aws: AWS, first: str, configs: Callable[..., str]
) -> None:
    with pytest.raises(ClientError, match="silence"):
        aws("sagemaker").update_endpoint(
            EndpointName=first, EndpointConfigName=configs("second"), DeploymentConfig=canary(0, "silence")
        )


def test_given_invocations_then_they_are_counted_as_sagemaker_counts_them(aws: AWS, first: str) -> None:
    version(aws("sagemaker-runtime"))
    dimensions = [{"Name": "EndpointName", "Value": first}, {"Name": "VariantName", "Value": "live"}]
    names = {
        metric["MetricName"]
        for metric in aws("cloudwatch").list_metrics(Namespace="AWS/SageMaker", Dimensions=dimensions)[
            "Metrics"
        ]
    }
    assert {"Invocations", "ModelLatency", "Invocation5XXErrors", "Invocation4XXErrors"} <= names


def test_given_a_container_that_dies_then_another_takes_its_place(
    aws: AWS, first: str, emulator: environment.Running
) -> None:
    serving = [pid for pid in process.marked(process.EMULATOR, emulator.root) if "-m\0server" in command(pid)]
    assert len(serving) == 1
    process.end(serving)
    with pytest.raises(ClientError):
        version(aws("sagemaker-runtime"))
    settled(aws("sagemaker"))
    assert version(aws("sagemaker-runtime")) == "first"
    assert first == "live"


def command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_given_many_models_when_listed_then_they_come_in_pages_and_in_order(
    aws: AWS, live: str, configs: Callable[..., str]
) -> None:
    configs("second")
    pages = (
        aws("sagemaker")
        .get_paginator("list_models")
        .paginate(SortOrder="Ascending", PaginationConfig={"PageSize": 1})
    )
    names = [each["ModelName"] for page in pages for each in page["Models"]]
    assert [name for name in names if name in ("first", "second")] == ["first", "second"]
    assert live == "live"


def test_given_a_target_for_scaling_then_it_is_kept_with_its_policy_until_it_goes(aws: AWS) -> None:
    scaling = aws("application-autoscaling")
    policy = {
        "TargetValue": 3000.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.put_scaling_policy(PolicyName="p", **TARGET)
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=4)
    scaling.put_scaling_policy(
        PolicyName="p", PolicyType="TargetTrackingScaling", **TARGET,
        TargetTrackingScalingPolicyConfiguration=policy,
    )  # fmt: skip
    scaling.register_scalable_target(**TARGET, MaxCapacity=8)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 8)
    assert len(scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]) == 1
    scaling.deregister_scalable_target(**TARGET)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**TARGET)


def test_given_a_restart_that_keeps_then_the_endpoint_answers_again_until_it_is_deleted(
    tmp_path: Path,
) -> None:
    running = environment.start("local", port=free_port(), root=tmp_path / "emulator")
    connect(running, "s3").create_bucket(Bucket="models")
    address = put_bundle(connect(running, "s3"), "models", "kept", tmp_path)
    put_config(connect(running, "sagemaker"), "kept", address)
    connect(running, "sagemaker").create_endpoint(EndpointName="live", EndpointConfigName="kept")
    settled(connect(running, "sagemaker"))
    environment.stop(running)
    assert process.marked(process.EMULATOR, running.root) == []

    again = environment.start("local", port=free_port(), root=tmp_path / "emulator", keep=True)
    try:
        sagemaker = connect(again, "sagemaker")
        assert settled(sagemaker)["EndpointStatus"] == "InService"
        assert version(connect(again, "sagemaker-runtime")) == "kept"
        sagemaker.delete_endpoint(EndpointName="live")
        eventually(lambda: not sagemaker.list_endpoints()["Endpoints"])
        assert not [pid for pid in process.marked(process.EMULATOR, again.root) if pid != again.pid]
    finally:
        environment.stop(again)
