"""The custom resource, with CloudFormation's side on this machine and Step Functions kept by moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.announce.app import handler
from tests.functions_release.context import Context

ROLE = "arn:aws:iam::123456789012:role/machine"
DEFINITION = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


class CloudFormation:
    """Takes answers at an address of its own."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.types: list[str | None] = []
        outer = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                outer.types.append(self.headers["Content-Type"])
                outer.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def event(self, kind: str, request: str = "5f1e", **more: str) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "RequestId": request,
            "LogicalResourceId": "Deploys",
            "StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/release/1",
            "ResponseURL": f"http://127.0.0.1:{self.server.server_port}/answer",
            **more,
        }


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    cloudformation = CloudFormation()
    yield cloudformation
    cloudformation.server.shutdown()
    cloudformation.server.server_close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """ARN of a state machine that stands for the release."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        states = boto3.client("stepfunctions")
        made = states.create_state_machine(name="release", definition=DEFINITION, roleArn=ROLE)
        monkeypatch.setenv("RELEASE_MACHINE", made["stateMachineArn"])
        yield made["stateMachineArn"]


def started(machine: str) -> list[tuple[str, dict[str, Any]]]:
    states = boto3.client("stepfunctions")
    found = states.list_executions(stateMachineArn=machine)["executions"]
    details = [states.describe_execution(executionArn=execution["executionArn"]) for execution in found]
    return [(detail["name"], json.loads(detail["input"])) for detail in details]


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_given_a_deploy_then_a_release_starts_and_cloudformation_hears_of_it(
    cloudformation: CloudFormation, machine: str, kind: str
) -> None:
    handler(cloudformation.event(kind), Context())
    assert started(machine) == [("deploy-5f1e", {"reason": "deploy"})]
    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["RequestId"], answer["LogicalResourceId"]) == (
        "SUCCESS",
        "5f1e",
        "Deploys",
    )
    assert not cloudformation.types[0]


def test_given_the_same_request_twice_then_one_release_starts(
    cloudformation: CloudFormation, machine: str
) -> None:
    for _ in range(2):
        handler(cloudformation.event("Create"), Context())
    assert len(started(machine)) == 1
    assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS", "SUCCESS"]


def test_given_a_deletion_then_nothing_starts_and_the_resource_keeps_its_id(
    cloudformation: CloudFormation, machine: str
) -> None:
    handler(cloudformation.event("Delete", PhysicalResourceId="announce-Deploys"), Context())
    assert started(machine) == []
    assert cloudformation.answers[0]["PhysicalResourceId"] == "announce-Deploys"
    assert cloudformation.answers[0]["Status"] == "SUCCESS"


def test_given_a_machine_that_is_gone_then_cloudformation_hears_why(
    cloudformation: CloudFormation, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_MACHINE", "arn:aws:states:us-east-1:123456789012:stateMachine:gone")
    handler(cloudformation.event("Create"), Context())
    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert "StateMachineDoesNotExist" in answer["Reason"]


def test_given_an_address_elsewhere_then_nothing_is_sent(
    cloudformation: CloudFormation, machine: str
) -> None:
    event = cloudformation.event("Delete", PhysicalResourceId="x") | {"ResponseURL": "ftp://example.com"}
    with pytest.raises(ValueError, match="no address of CloudFormation"):
        handler(event, Context())
