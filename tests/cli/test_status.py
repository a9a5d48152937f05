from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from cli.commands import status
from cli.console import result
from cli.errors import CliError
from cli.session import Session, session

PACKAGE = "arn:aws:sagemaker:us-east-1:000000000000:model-package/millrace-local-flights/3"
NOW = datetime.now(UTC)
POINTER = {
    "package": PACKAGE,
    "version": "run-3",
    "bundle": "s3://models/flights/runs/run-3/bundle/",
    "layer": "arn:aws:lambda:us-east-1:000000000000:layer:model:3",
    "function_version": "4",
    "approved_at": "2026-11-24T05:32:00+00:00",
}
MANIFEST = {"made_at": "2026-11-12T05:32:00Z"}


@pytest.fixture
def here() -> Session:
    return session("local", "flights")


@pytest.fixture
def services(here: Session) -> Iterator[dict[str, Stubber]]:
    """Services that answer only what they were told to."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Stubber(here.client(name))) for name in ("ssm", "s3", "sagemaker")}


def point(services: dict[str, Stubber], **changes: Any) -> None:
    value = json.dumps({**POINTER, **changes})
    services["ssm"].add_response("get_parameter", {"Parameter": {"Value": value}})


def put(services: dict[str, Stubber], name: str, document: dict[str, Any]) -> None:
    body = json.dumps(document).encode()
    expected = {"Bucket": "models", "Key": f"flights/runs/run-3/bundle/{name}"}
    services["s3"].add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))}, expected)


def register(services: dict[str, Stubber]) -> None:
    described = {
        "ModelPackageName": "x",
        "ModelPackageArn": PACKAGE,
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "ModelPackageStatus": "Completed",
        "ModelApprovalStatus": "Approved",
        "CreationTime": NOW,
        "CustomerMetadataProperties": {"run": "run-3", "bundle": POINTER["bundle"]},
    }
    services["sagemaker"].add_response("describe_model_package", described)


def test_given_a_champion_then_its_age_counts_from_its_data(
    here: Session, services: dict[str, Stubber], capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    point(services, approved_at=(now - timedelta(hours=50)).isoformat())
    made_at = (now - timedelta(days=12, hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    put(services, "manifest.json", {"made_at": made_at})
    register(services)
    put(services, "verdict.json", {"metrics": {"test_auc": 0.72}})

    status.show_champion(here, {})

    told = capsys.readouterr().out
    assert "champion  run-3, approved" in told
    assert "2 days ago" in told
    assert "its data were prepared" in told
    assert "12 days ago" in told
    assert "test_auc 0.7200" in told


def test_given_a_package_that_was_deleted_then_status_says_what_that_means(
    here: Session, services: dict[str, Stubber]
) -> None:
    point(services)
    put(services, "manifest.json", MANIFEST)
    services["sagemaker"].add_client_error(
        "describe_model_package", "ValidationException", f"ModelPackage {PACKAGE} does not exist."
    )

    with pytest.raises(CliError, match=r"the registry has its package no more: .* does not exist") as told:
        status.show_champion(here, {})

    assert "millrace train" in told.value.remedy


def test_given_a_bundle_that_was_deleted_then_status_says_what_that_means(
    here: Session, services: dict[str, Stubber]
) -> None:
    point(services)
    services["s3"].add_client_error("get_object", "NoSuchKey")
    register(services)
    services["s3"].add_client_error("get_object", "NoSuchKey")

    with pytest.raises(CliError, match=f"its bundle {POINTER['bundle']} is gone") as told:
        status.show_champion(here, {})

    assert "millrace train" in told.value.remedy


def test_given_a_refused_call_then_it_is_not_taken_for_a_deleted_package(
    here: Session, services: dict[str, Stubber]
) -> None:
    point(services)
    put(services, "manifest.json", MANIFEST)
    services["sagemaker"].add_client_error("describe_model_package", "AccessDeniedException")

    with pytest.raises(here.client("sagemaker").exceptions.ClientError, match="AccessDenied"):
        status.show_champion(here, {})


def test_given_a_champion_in_trouble_then_runs_and_alarms_are_told_before_it(
    here: Session,
    services: dict[str, Stubber],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    point(services, approved_at="yesterday")
    monkeypatch.setattr(status, "session", lambda *_: here)
    monkeypatch.setattr(status, "stacks", lambda _: {})
    for part in ("show_stacks", "show_runs"):
        monkeypatch.setattr(status, part, lambda *_: None)
    monkeypatch.setattr(status, "show_alarms", lambda _: result("no alarms"))

    with pytest.raises(CliError, match="'yesterday' is no ISO 8601 time"):
        status.status()

    assert capsys.readouterr().out.splitlines()[-1] == "no alarms"
