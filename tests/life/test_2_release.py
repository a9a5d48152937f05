"""Release: what must hold whatever happens around it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.life.world import TOY, World, caller, wait_for

pytestmark = pytest.mark.life
ENDPOINT = f"millrace-local-{TOY}"
FUNCTION = f"{ENDPOINT}-predict"


def clone_package(world: World, package: str, change: Any, tag: str) -> str:
    """Register a copy of ``package`` whose bundle was changed by ``change(bucket, prefix)``; its ARN."""
    sagemaker, s3 = world.client("sagemaker"), world.client("s3")
    described = sagemaker.describe_model_package(ModelPackageName=package)
    bucket = world.outputs()["models_bucket"]
    properties = dict(described["CustomerMetadataProperties"])
    old = properties["bundle"].removeprefix(f"s3://{bucket}/")
    new = f"{TOY}/runs/{tag}/bundle/"
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=old)["Contents"]:
        s3.copy_object(
            Bucket=bucket, Key=new + item["Key"].removeprefix(old), CopySource=f"{bucket}/{item['Key']}"
        )
    change(bucket, new)
    properties = {
        key: value.replace(f"s3://{bucket}/{old}", f"s3://{bucket}/{new}").replace(old, new)
        for key, value in properties.items()
    }
    return str(
        sagemaker.create_model_package(
            ModelPackageGroupName=f"millrace-local-{TOY}",
            InferenceSpecification=described["InferenceSpecification"],
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties=properties,
        )["ModelPackageArn"]
    )


def state(world: World) -> tuple[str, dict[str, str], str, list[str], str, str]:
    """Everything that a release may change: alias, champion, layer, endpoint, and their pointers."""
    layers = world.client("lambda").get_function_configuration(FunctionName=FUNCTION).get("Layers", [])
    endpoint = world.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    return (
        world.live_version(),
        world.champion(),
        world.parameter("layer"),
        [each["Arn"] for each in layers],
        world.parameter("endpoint"),
        endpoint["EndpointConfigName"],
    )


def wrong_probabilities(world: World) -> Any:
    def change(bucket: str, prefix: str) -> None:
        s3 = world.client("s3")
        checks = json.loads(s3.get_object(Bucket=bucket, Key=f"{prefix}release.json")["Body"].read())
        checks["probabilities"] = [1 - each for each in checks["probabilities"]]
        s3.put_object(Bucket=bucket, Key=f"{prefix}release.json", Body=json.dumps(checks))

    return change


def broken_model(world: World) -> Any:
    def change(bucket: str, prefix: str) -> None:
        s3 = world.client("s3")
        layer = s3.get_object(Bucket=bucket, Key=f"{prefix}layer.zip")["Body"].read()
        broken = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(layer)) as source, zipfile.ZipFile(broken, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                target.writestr(name, content[:-100] if name.endswith(".onnx") else content)
        s3.put_object(Bucket=bucket, Key=f"{prefix}layer.zip", Body=broken.getvalue())

    return change


def broken_files(world: World) -> Any:
    """The layer is good, so that the function's check passes; what the endpoint's container finds is not."""

    def change(bucket: str, prefix: str) -> None:
        s3 = world.client("s3")
        for name in ("model.onnx", "single.onnx"):
            content = s3.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
            s3.put_object(Bucket=bucket, Key=prefix + name, Body=content[:-100])

    return change


FLAWS = (wrong_probabilities, broken_model, broken_files)


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_release_whose_check_fails_leaves_everything_as_it_was(
    released: World, url: str, endpoint_url: str, records: dict[str, Any], flaw: Any
) -> None:
    before, token = state(released), released.token()
    known = len(released.executions("release"))
    package = clone_package(released, released.packages()[0], flaw(released), flaw.__name__)
    with (
        caller(released, url, records, token) as replies,
        caller(released, endpoint_url, records, token) as others,
    ):
        released.approve(package)
        (execution,) = released.settled_releases(known)
    assert execution["status"] == "FAILED"
    assert state(released) == before
    assert released.lock() is None
    assert {each.status for each in replies + others} == {200}
    assert {each.body["version"] for each in replies + others} == {before[1]["version"]}


def test_a_second_model_goes_live_and_the_former_can_come_back(
    released: World, url: str, endpoint_url: str, records: dict[str, Any]
) -> None:
    first, token = released.champion(), released.token()
    with caller(released, endpoint_url, records, token) as replies:
        released.millrace("train", "--workload", TOY, "--set", "seed=11", seconds=500)
        second = released.champion()
    assert second["version"] != first["version"]
    assert {each.status for each in replies} == {200}, "no request was lost while the endpoint was updated"
    assert {each.body["version"] for each in replies} == {first["version"], second["version"]}
    for each in (url, endpoint_url):
        assert released.call("POST", each, records, token).body["version"] == second["version"]
    released.millrace("release", "--workload", TOY, "--package", first["package"], seconds=300)
    assert released.champion()["version"] == first["version"]
    for each in (url, endpoint_url):
        assert released.call("POST", each, records, token).body["version"] == first["version"]


def test_an_approval_that_comes_twice_does_no_harm(released: World) -> None:
    before = state(released)
    package = before[1]["package"]
    known = len(released.executions("release"))
    released.approve(package)
    released.approve(package)
    executions = wait_for(
        lambda: found if len(found := released.settled_releases(known)) == 2 else None, "two releases", 240
    )
    assert [each["status"] for each in executions] == ["SUCCEEDED", "SUCCEEDED"]
    after = state(released)
    assert after[0] == before[0]
    assert after[1]["version"] == before[1]["version"]
    assert released.lock() is None


def test_two_releases_at_once_do_no_harm(released: World, url: str, records: dict[str, Any]) -> None:
    first, *_, last = [each for each in released.packages() if "Approved" in approval(released, each)]
    known, token = len(released.executions("release")), released.token()
    with caller(released, url, records, token) as replies:
        released.approve(first)
        released.approve(last)
        wait_for(
            lambda: found if len(found := released.settled_releases(known)) == 2 else None,
            "two releases",
            300,
        )
    assert {each.status for each in replies} == {200}
    answer = released.call("POST", url, records, token)
    assert answer.body["version"] == released.champion()["version"]
    assert released.champion()["function_version"] == released.live_version()
    assert released.lock() is None


def approval(world: World, package: str) -> str:
    described = world.client("sagemaker").describe_model_package(ModelPackageName=package)
    good = "runs/" in described["CustomerMetadataProperties"]["bundle"] and not any(
        flaw.__name__ in described["CustomerMetadataProperties"]["bundle"] for flaw in FLAWS
    )
    return str(described["ModelApprovalStatus"]) if good else "Flawed"


def test_a_deploy_after_a_release_keeps_the_model(released: World, url: str, records: dict[str, Any]) -> None:
    before = state(released)
    released.millrace("up", seconds=400)
    assert state(released) == before
    assert released.call("POST", url, records, released.token()).body["version"] == before[1]["version"]


def test_a_deploy_that_changes_the_function_goes_live_with_the_same_model(
    released: World, url: str, records: dict[str, Any]
) -> None:
    before = state(released)
    known = len(released.executions("release"))
    module = released.folder / "functions" / "predict" / "app.py"
    module.write_text(module.read_text() + "\nA_CHANGE_OF_CODE = True\n")
    released.millrace("up", seconds=400)
    (execution,) = released.settled_releases(known)
    assert execution["status"] == "SUCCEEDED"
    after = state(released)
    assert after[0] != before[0], "the alias stands on a new version"
    assert after[1]["version"] == before[1]["version"]
    code = released.client("lambda").get_function_configuration
    live = code(FunctionName=FUNCTION, Qualifier=after[0])["CodeSha256"]
    assert live == code(FunctionName=FUNCTION)["CodeSha256"]
    answer = released.call("POST", url, records, released.token())
    assert (answer.status, answer.body["version"]) == (200, before[1]["version"])
