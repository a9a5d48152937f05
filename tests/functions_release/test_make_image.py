"""The function that has the image built, against a registry, a builder and a CloudFormation played here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from functions.make_image import image
from functions.make_image.app import handler
from tests.functions_release.context import Context

DIGEST = f"sha256:{'7' * 64}"
WANTED = {"Project": "millrace-dev-server", "Repository": "millrace-dev-server", "Tag": "0123456789abcdef"}


class World:
    """What is in the registry, how builds go, and what was asked and answered."""

    def __init__(self) -> None:
        self.images: set[str] = set()
        self.statuses = ["IN_PROGRESS", "SUCCEEDED"]
        """Of the build, one after another."""
        self.pushes = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[dict[str, Any]] = []

    def reply(self, target: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append((target, request))
        if target == "DescribeImages":
            (wanted,) = request["imageIds"]
            if wanted["imageTag"] not in self.images:
                return 400, {"__type": "ImageNotFoundException", "message": "not there"}
            return 200, {"imageDetails": [{"imageDigest": DIGEST}]}
        status = self.statuses.pop(0)
        if status == "SUCCEEDED" and self.pushes:
            self.images.add(WANTED["Tag"])
        build: dict[str, Any] = {
            "id": "server:1",
            "buildStatus": status,
            "logs": {"groupName": "group", "streamName": "stream"},
        }
        if status == "FAILED":
            contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "docker push failed"}]
            build["phases"] = [{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": contexts}]
        return 200, {"build": build} if target == "StartBuild" else {"builds": [build]}

    def called(self, target: str) -> int:
        return sum(name == target for name, _ in self.asked)


def serve(world: World) -> ThreadingHTTPServer:
    class Services(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, answer = world.reply(self.headers["X-Amz-Target"].rpartition(".")[2], request)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def do_PUT(self) -> None:
            world.answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    server = serve(world)
    monkeypatch.setattr(image, "PAUSE_SECONDS", 0)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield world
    server.shutdown()
    server.server_close()


def call(world: World, kind: str, context: Context | None = None, **properties: str) -> dict[str, Any]:
    """Call the function as CloudFormation does; return what it answered."""
    import os

    event = {
        "RequestType": kind,
        "RequestId": "request-1",
        "ResponseURL": f"{os.environ['AWS_ENDPOINT_URL']}/answer",
        "StackId": "stack-1",
        "LogicalResourceId": "Image",
        "PhysicalResourceId": "the-former:tag",
        "ResourceProperties": {**WANTED, **properties},
    }
    handler(event, context or Context())
    (answer,) = world.answers
    return answer


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_given_a_tag_that_is_not_there_then_it_is_built_and_its_digest_answered(
    world: World, kind: str
) -> None:
    answer = call(world, kind)
    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"Digest": DIGEST})
    assert answer["PhysicalResourceId"] == "millrace-dev-server:0123456789abcdef"
    (started,) = (request for target, request in world.asked if target == "StartBuild")
    assert started["projectName"] == "millrace-dev-server"
    assert started["idempotencyToken"] == "request-1"
    assert started["environmentVariablesOverride"] == [
        {"name": "TAG", "value": "0123456789abcdef", "type": "PLAINTEXT"}
    ]


def test_given_a_tag_that_is_there_then_nothing_is_built(world: World) -> None:
    world.images.add(WANTED["Tag"])
    assert call(world, "Create")["Data"] == {"Digest": DIGEST}
    assert world.called("StartBuild") == 0


def test_given_a_build_that_fails_then_the_deploy_fails_and_says_why_and_where_to_read(world: World) -> None:
    world.statuses = ["IN_PROGRESS", "FAILED"]
    answer = call(world, "Create")
    assert answer["Status"] == "FAILED"
    for said in ("BUILD: docker push failed", "log group group, stream stream"):
        assert said in answer["Reason"]


def test_given_a_build_that_does_not_end_then_the_deploy_hears_of_it_before_the_function_ends(
    world: World,
) -> None:
    world.statuses = ["IN_PROGRESS"] * 9

    class Late(Context):
        def get_remaining_time_in_millis(self) -> int:
            return 100_000 - 30_000 * world.called("BatchGetBuilds")

    answer = call(world, "Create", Late())
    assert answer["Status"] == "FAILED"
    assert "not ended in time" in answer["Reason"]
    assert world.called("BatchGetBuilds") == 3


def test_given_a_build_that_pushed_nothing_then_the_deploy_fails(world: World) -> None:
    world.pushes = False
    assert "is not in the registry" in call(world, "Create")["Reason"]


def test_given_a_delete_then_nothing_is_asked_and_the_name_stays(world: World) -> None:
    answer = call(world, "Delete")
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "the-former:tag")
    assert world.asked == []
