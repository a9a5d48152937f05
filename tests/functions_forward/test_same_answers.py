"""Passed on to the server and back, a request is answered to the last byte as the function answers it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.forward.envelope import unwrap, wrap
from functions.predict.core import Core
from functions.predict.routes import Service
from server.app import App
from server.log import Log
from server.metrics import Metrics
from tests.functions.conftest import serve
from tests.functions.gateway import HEALTH, MODEL, PREDICT
from tests.functions.tiny_bundle import make_bundle
from tests.server.test_answers import BODIES, call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("forwarded") / "bundle")


@pytest.fixture(scope="module")
def container(folder: Path) -> App:
    return App(Core.open(folder), Metrics(), Log(lambda _: None))


@pytest.fixture(scope="module")
def function(folder: Path) -> Service:
    return serve(folder.parent)


def event(
    body: bytes, headers: Mapping[str, str], *, text: bool, route: str = PREDICT, model: str = "parcels"
) -> dict[str, Any]:
    return {
        "httpMethod": "POST" if route == PREDICT else "GET",
        "resource": route,
        "headers": dict(headers),
        "pathParameters": {"model": model},
        "requestContext": {"requestId": "0a1b2c3d"},
        "body": (body.decode() if text else b64encode(body).decode()) or None,
        "isBase64Encoded": not text and bool(body),
    }


def through_endpoint(container: App, asked: dict[str, Any]) -> dict[str, Any]:
    """What the caller of the endpoint's API gets, without the network between."""
    headers, body = wrap(asked, asked["requestContext"]["requestId"])
    status, _, content = call(container, "POST", "/invocations", body, headers)
    assert status == 200  # or SageMaker would make an error of its own of it
    return unwrap(content).response


def is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return not body.startswith(b"MRB1")


@pytest.mark.parametrize(("body", "headers"), BODIES)
def test_given_a_body_in_base64_then_both_answer_alike(
    container: App, function: Service, body: bytes, headers: dict[str, str]
) -> None:
    asked = event(body, headers, text=False)
    assert through_endpoint(container, asked) == function.answer(asked, None)


@pytest.mark.parametrize(("body", "headers"), [each for each in BODIES if is_text(each[0])])
def test_given_a_body_as_text_then_both_answer_alike(
    container: App, function: Service, body: bytes, headers: dict[str, str]
) -> None:
    asked = event(body, headers, text=True)
    assert through_endpoint(container, asked) == function.answer(asked, None)


def test_given_text_that_the_gateway_has_unpacked_then_both_answer_alike(
    container: App, function: Service
) -> None:
    asked = event(BODIES[0][0], {"content-type": "application/json", "content-encoding": "gzip"}, text=True)
    answer = through_endpoint(container, asked)
    assert answer["statusCode"] == 200
    assert answer == function.answer(asked, None)


@pytest.mark.parametrize(
    ("route", "model"),
    [(HEALTH, ""), (MODEL, "parcels"), (MODEL, "letters"), (PREDICT, "letters"), (PREDICT, "é" * 99)],
)
def test_given_another_route_or_model_then_both_answer_alike(
    container: App, function: Service, route: str, model: str
) -> None:
    asked = event(BODIES[0][0] if route == PREDICT else b"", {}, text=True, route=route, model=model)
    assert through_endpoint(container, asked) == function.answer(asked, None)
