from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from rich.console import Console

from cli import main, releases, runs
from cli.commands import release
from cli.console import Voice
from cli.errors import CliError
from cli.models import POINTER, Package, champion, choose, described, metrics_text
from cli.session import Session, session
from infra import settings

NOW = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)
GROUP = "arn:aws:sagemaker:us-east-1:000000000000:model-package/millrace-local-flights"
METRICS = {"auc": 0.71934, "rows": 71000, "by_month": {"11": 0.7}}
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:millrace-local-flights-release"


def package(number: int, status: str = "PendingManualApproval") -> Package:
    return Package(f"{GROUP}/{number}", number, f"run-{number}", status, NOW, "", METRICS)


@pytest.fixture
def here() -> Session:
    return session("local", "flights")


@pytest.fixture
def sagemaker(here: Session) -> Iterator[Stubber]:
    """A registry that answers only what it was told to."""
    with Stubber(here.client("sagemaker")) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.mark.parametrize("asked", ["2", "run-2", f"{GROUP}/2"])
def test_a_model_is_chosen_by_number_run_or_arn(asked: str) -> None:
    assert choose([package(3), package(2)], asked).number == 2


def test_a_model_that_does_not_exist_is_told() -> None:
    with pytest.raises(CliError, match="there is no model '9' among the last 1"):
        choose([package(3)], "9")


def test_metrics_are_told_in_one_line() -> None:
    assert metrics_text(METRICS) == "auc 0.7193 · rows 71000"
    assert metrics_text({"validate_auc": 0.74, "test_auc": 0.72}) == "test_auc 0.7200"


def test_a_package_is_described_with_the_metrics_of_its_verdict(here: Session, sagemaker: Stubber) -> None:
    sagemaker.add_response("describe_model_package", answer("s3://models/flights/runs/r/bundle/"))
    body = json.dumps({"passed": True, "metrics": METRICS}).encode()
    with Stubber(here.client("s3")) as s3:
        expected = {"Bucket": "models", "Key": "flights/runs/r/bundle/verdict.json"}
        s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))}, expected)
        found = described(here, f"{GROUP}/4")
    assert (found.number, found.run, found.status) == (4, "r", "Approved")
    assert found.metrics == METRICS


def answer(bundle: str) -> dict[str, Any]:
    return {
        "ModelPackageName": "x",
        "ModelPackageArn": f"{GROUP}/4",
        "ModelPackageVersion": 4,
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "CreationTime": NOW,
        "CustomerMetadataProperties": {"run": "r", "bundle": bundle},
    }


def test_a_package_whose_bundle_is_gone_is_described_without_metrics(
    here: Session, sagemaker: Stubber
) -> None:
    sagemaker.add_response("describe_model_package", answer("s3://models/gone"))
    with Stubber(here.client("s3")) as s3:
        s3.add_client_error("get_object", "NoSuchKey")
        assert described(here, f"{GROUP}/4").metrics == {}


WHOLE = dict.fromkeys(POINTER, "x")


def test_the_pointer_is_what_release_writes() -> None:
    definition = (Path(settings.__file__).parent / "machines" / "release.asl.yaml").read_text()
    (successor,) = re.findall(r"successor: \|-\s+\{% \{(.*?)\} %\}", definition, re.DOTALL)
    assert sorted(re.findall(r"'(\w+)':", successor)) == list(POINTER)


@pytest.mark.parametrize(("value", "expected"), [("{}", {}), (json.dumps(WHOLE), WHOLE)])
def test_the_champion_is_read(here: Session, value: str, expected: dict[str, str]) -> None:
    with Stubber(here.client("ssm")) as ssm:
        expected_call = {"Name": "/millrace/local/flights/champion"}
        ssm.add_response("get_parameter", {"Parameter": {"Value": value}}, expected_call)
        assert champion(here) == expected


@pytest.mark.parametrize("value", ["", "{", "7", '["a"]'])
def test_a_spoiled_champion_is_told_with_its_parameter(here: Session, value: str) -> None:
    with Stubber(here.client("ssm")) as ssm:
        ssm.add_response("get_parameter", {"Parameter": {"Value": value}})
        with pytest.raises(CliError, match="no JSON object") as refused:
            champion(here)
    assert "/millrace/local/flights/champion" in refused.value.where


@pytest.mark.parametrize("change", [{"bundle": None}, {"bundle": 7}])
def test_a_champion_without_one_of_its_keys_is_told_with_it(here: Session, change: dict[str, Any]) -> None:
    with Stubber(here.client("ssm")) as ssm:
        ssm.add_response("get_parameter", {"Parameter": {"Value": json.dumps({**WHOLE, **change})}})
        with pytest.raises(CliError, match="it lacks bundle: ") as refused:
            champion(here)
    assert "aws ssm get-parameter-history" in refused.value.remedy


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two models, the first approved; what the command does with them is noted."""
    done: list[str] = []
    monkeypatch.setattr(release, "packages", lambda here: [package(2), package(1, "Approved")])
    monkeypatch.setattr(release, "champion", lambda here: {"package": f"{GROUP}/1"})
    monkeypatch.setattr(release, "outputs", lambda here, needed: {"release_machine": MACHINE})
    monkeypatch.setattr(runs, "recent", lambda here, machine: [])
    monkeypatch.setattr(release, "approve", lambda here, chosen: done.append(f"approve {chosen.number}"))
    monkeypatch.setattr(release, "request_release", lambda here, machine, chosen: f"request {chosen.number}")
    monkeypatch.setattr(release, "approval_release", lambda *_: "by event")
    monkeypatch.setattr(release, "follow_release", lambda here, voice, arn: done.append(f"follow {arn}"))
    return done


def test_release_lists_models_and_marks_the_champion(
    registry: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["release"]) == 0
    heading, new, old = capsys.readouterr().out.splitlines()
    assert heading.split() == ["model", "run", "approval", "created", "metrics"]
    assert new.startswith("2      run-2  PendingManualApproval")
    assert old.endswith("champion")
    assert registry == []


def test_a_pending_model_is_approved_and_its_event_s_release_followed(registry: list[str]) -> None:
    assert main.run(["release", "--package", "2"]) == 0
    assert registry == ["approve 2", "follow by event"]


def test_an_approved_model_is_released_again_by_request(registry: list[str]) -> None:
    assert main.run(["release", "--package", "run-1"]) == 0
    assert registry == ["follow request 1"]


def test_a_request_names_the_package(here: Session) -> None:
    with Stubber(here.client("stepfunctions")) as machine:
        machine.add_response(
            "start_execution",
            {"executionArn": "arn", "startDate": NOW},
            {
                "stateMachineArn": MACHINE,
                "name": ANY,
                "input": json.dumps({"reason": "request", "package": f"{GROUP}/1"}),
            },
        )
        assert releases.request_release(here, MACHINE, package(1)) == "arn"


def test_an_approval_without_a_release_is_told(here: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "await_execution", lambda *_: "")
    with pytest.raises(CliError) as missing:
        releases.approval_release(here, Voice(Console(file=io.StringIO())), MACHINE, package(2), set())
    assert missing.value.remedy == "ask for it: millrace release --package 2"
