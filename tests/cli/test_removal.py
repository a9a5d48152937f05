from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber
from moto import mock_aws
from rich.console import Console

from cli import main, removal
from cli import session as sessions
from cli.commands import destroy
from cli.console import Voice
from cli.errors import CliError
from infra import settings
from tests.cli.endpoints import make_endpoint

FUNCTION = "millrace-dev-flights-predict"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[sessions.Session]:
    """The environment dev, on an AWS that moto stands in for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws(config={"lambda": {"use_docker": False}}):
        yield sessions.session("dev")


def archive(content: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        file.writestr("index.py", content)
    return held.getvalue()


def role(here: sessions.Session) -> str:
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    made = here.client("iam").create_role(RoleName="predict", AssumeRolePolicyDocument=document)
    return str(made["Role"]["Arn"])


@contextmanager
def stack(here: sessions.Session, name: str, *held: tuple[str, str]) -> Iterator[None]:
    """CloudFormation says that the stack ``name`` holds resources: type and physical id."""
    summaries = [
        {
            "LogicalResourceId": f"R{number}",
            "PhysicalResourceId": physical,
            "ResourceType": kind,
            "LastUpdatedTimestamp": datetime(2026, 11, 24, tzinfo=UTC),
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for number, (kind, physical) in enumerate(held)
    ]
    with Stubber(here.client("cloudformation")) as stub:
        stub.add_response("list_stack_resources", {"StackResourceSummaries": summaries}, {"StackName": name})
        yield


def test_versions_go_but_the_one_that_cloudformation_keeps(here: sessions.Session) -> None:
    client = here.client("lambda")
    made = client.create_function(
        FunctionName=FUNCTION,
        Runtime="python3.13",
        Handler="index.handler",
        Role=role(here),
        Code={"ZipFile": archive("a = 0")},
        Publish=True,
    )
    for content in ("a = 1", "a = 2"):
        client.update_function_code(FunctionName=FUNCTION, ZipFile=archive(content))
        client.publish_version(FunctionName=FUNCTION)
    client.create_alias(FunctionName=FUNCTION, Name="live", FunctionVersion="3")

    kept = ("AWS::Lambda::Version", f"{made['FunctionArn']}:1")
    with stack(here, "millrace-dev-flights-serving", ("AWS::IAM::Role", "predict"), kept):
        assert removal.remove_versions(here, FUNCTION) == 2

    assert client.get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"] == "1"
    left = client.list_versions_by_function(FunctionName=FUNCTION)["Versions"]
    assert [each["Version"] for each in left] == ["$LATEST", "1"]


def test_without_the_kept_version_nothing_is_touched(here: sessions.Session) -> None:
    with (
        stack(here, "millrace-dev-flights-serving"),
        pytest.raises(CliError, match="holds 0 function versions"),
    ):
        removal.remove_versions(here, FUNCTION)


def test_the_champion_s_layers_go(here: sessions.Session) -> None:
    client = here.client("lambda")
    for content in ("a = 1", "a = 2"):
        arn = client.publish_layer_version(LayerName="bundle", Content={"ZipFile": archive(content)})[
            "LayerVersionArn"
        ]
    name = here.settings.parameter("flights", "champion")
    here.client("ssm").put_parameter(Name=name, Value=json.dumps({"layer": arn}), Type="String")
    assert removal.remove_layers(here) == 2
    assert client.list_layer_versions(LayerName="bundle")["LayerVersions"] == []


def test_before_the_first_release_there_is_no_layer_to_remove(here: sessions.Session) -> None:
    assert removal.remove_layers(here) == 0


def test_the_endpoint_goes_with_what_releases_made_for_it_and_no_other_workload_s(
    here: sessions.Session,
) -> None:
    client = here.client("sagemaker")
    make_endpoint(here, "millrace-dev-flights", "millrace-dev-flights-0123456789ab")
    make_endpoint(here, "millrace-dev-flights-eu", "millrace-dev-flights-eu-0123456789ab")
    assert removal.remove_endpoint(here) == 3
    assert removal.remove_endpoint(here) == 0
    assert [each["EndpointName"] for each in client.list_endpoints()["Endpoints"]] == [
        "millrace-dev-flights-eu"
    ]
    assert [each["ModelName"] for each in client.list_models()["Models"]] == [
        "millrace-dev-flights-eu-0123456789ab"
    ]


def test_a_bucket_is_emptied_of_every_version_and_delete_marker(here: sessions.Session) -> None:
    s3 = here.client("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket="lake", Key="a", Body=str(number).encode())
    s3.delete_object(Bucket="lake", Key="a")
    assert sum(removal.empty(here, "lake")) == 4
    s3.delete_bucket(Bucket="lake")


DEPLOYED = {"foundation": {"StackName": "millrace-dev-foundation"}}


def test_a_protected_environment_is_not_even_cleared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    touched: list[str] = []
    held = {"foundation": {"StackName": "millrace-prod-foundation", "EnableTerminationProtection": True}}
    monkeypatch.setattr(destroy, "stacks", lambda here: held)
    monkeypatch.setattr(destroy, "clear", lambda here, voice: touched.append(here.workload))
    assert main.run(["destroy", "--env", "prod", "--yes"]) == 1
    assert "--no-enable-termination-protection" in capsys.readouterr().err
    assert touched == []


@pytest.mark.parametrize(
    ("terminal", "typed", "remedy"),
    [(False, "dev", "millrace destroy --yes"), (True, "prod", "type its name")],
)
def test_nothing_is_removed_unless_confirmed(
    terminal: bool,
    typed: str,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typing = io.StringIO(f"{typed}\n")
    monkeypatch.setattr(typing, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdin", typing)
    monkeypatch.setattr(destroy, "stacks", lambda here: DEPLOYED)
    touched: list[str] = []
    monkeypatch.setattr(destroy, "clear", lambda here, voice: touched.append(here.workload))
    assert main.run(["destroy", "--env", "dev"]) == 1
    assert remedy in capsys.readouterr().err
    assert touched == []


def test_what_releases_made_goes_before_the_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(destroy, "stacks", lambda here: DEPLOYED)
    monkeypatch.setattr(destroy, "clear", lambda here, voice: done.append(f"clear {here.workload}"))
    monkeypatch.setattr(destroy, "clear_buckets", lambda here, voice: done.append("buckets"))
    monkeypatch.setattr(destroy, "destroy_stacks", lambda here, voice: done.append("stacks"))
    assert main.run(["destroy", "--env", "dev", "--yes"]) == 0
    assert done == ["clear flights", "buckets", "stacks"], (
        "and nothing of dev is retained, so nothing is said"
    )


def test_nothing_is_removed_while_a_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    here = sessions.session("dev")
    monkeypatch.setattr(destroy, "stacks", lambda here: {})
    monkeypatch.setattr(removal, "running", lambda here, machines: ["20261124-0532-k7wq"])
    with pytest.raises(CliError, match="runs are going on: 20261124-0532-k7wq"):
        destroy.clear(here, Voice(Console(file=io.StringIO())))


def test_an_environment_that_retains_keeps_its_objects() -> None:
    written = io.StringIO()
    kept = sessions.Session(settings.load("prod"), "flights")
    destroy.clear_buckets(kept, Voice(Console(file=written)))
    assert "the buckets are retained" in written.getvalue()


def test_destroy_of_what_is_not_deployed_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(destroy, "stacks", lambda here: {})
    assert main.run(["destroy", "--env", "dev", "--yes"]) == 0
    assert "nothing is deployed" in capsys.readouterr().err
