"""The probe, against an API, a token endpoint and a user pool that a server on this machine plays."""

from __future__ import annotations

import json
import os
import re
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from functions.probe import patience
from functions.probe.app import handler
from functions.probe.errors import AnswerError, ApiError, TokenError
from tests.functions_release.context import Context

SCOPE = "millrace-dev/predict"
REQUEST = '{"records":[{"dep_hour":7},{"dep_hour":9}]}'
EVENT = {"version": "run-2", "checks": {"request": REQUEST, "probabilities": [0.2, 0.5], "tolerance": 1e-4}}


def answering(version: str = "run-2", probabilities: tuple[float, ...] = (0.2, 0.5)) -> tuple[int, str]:
    predictions = [{"probability": probability} for probability in probabilities]
    return 200, json.dumps({"version": version, "predictions": predictions})


class World:
    """What the endpoints answer, and what they were asked."""

    def __init__(self) -> None:
        self.token: Callable[[], tuple[int, str]] = lambda: (200, json.dumps({"access_token": "token-1"}))
        self.answers = [answering()]
        """One after another; the last for ever."""
        self.asked: list[tuple[str, str, str]] = []

    def reply(self, path: str, authorization: str, body: str) -> tuple[int, str]:
        if path == "/":
            wanted = {"UserPoolId": "us-east-1_pool", "ClientId": "client-1"}
            assert json.loads(body) == wanted, "only the user pool is asked at its root"
            return 200, json.dumps({"UserPoolClient": {**wanted, "ClientSecret": "secret-1"}})
        self.asked.append((path, authorization, body))
        if path == "/oauth2/token":
            return self.token()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def serve(world: World) -> ThreadingHTTPServer:
    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, text = world.reply(self.path, self.headers["Authorization"], body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    server = serve(world)
    home = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(patience, "PAUSES", (0, 0, 0))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", home)
    settings = {
        "API_URLS": f"{home}/live", "TOKEN_URL": f"{home}/oauth2/token", "USER_POOL": "us-east-1_pool",
        "CLIENT": "client-1", "SCOPE": SCOPE, "MODEL": "flights", "AUTH": "token",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(f"PROBE_{name}", value)
    yield world
    server.shutdown()
    server.server_close()


def test_given_the_new_model_in_service_then_the_probe_says_what_it_checked(world: World) -> None:
    (api,) = os.environ["PROBE_API_URLS"].split()
    assert handler(EVENT, Context()) == {"version": "run-2", "checked": "2 predictions", "by": api}
    (token, prediction) = world.asked
    assert token[:2] == ("/oauth2/token", f"Basic {b64encode(b'client-1:secret-1').decode()}")
    assert parse_qs(token[2]) == {"grant_type": ["client_credentials"], "scope": [SCOPE]}
    assert prediction == ("/live/v1/models/flights/predict", "Bearer token-1", REQUEST)


def test_given_an_api_that_asks_for_signatures_then_the_probe_signs_and_needs_no_token(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_AUTH", "iam")
    assert handler(EVENT, Context())["version"] == "run-2"
    ((path, authorization, body),) = world.asked
    assert (path, body) == ("/live/v1/models/flights/predict", REQUEST)
    assert re.match(
        r"AWS4-HMAC-SHA256 Credential=test/\d{8}/us-east-1/execute-api/aws4_request,", authorization
    )
    assert "SignedHeaders=content-type;host;x-amz-date" in authorization


@pytest.fixture
def both(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A second API beside the first one."""
    (first,) = os.environ["PROBE_API_URLS"].split()
    monkeypatch.setenv("PROBE_API_URLS", f"{first} {first.removesuffix('live')}endpoint")
    return world


def test_given_two_apis_then_both_are_asked_with_one_token(both: World) -> None:
    assert handler(EVENT, Context())["by"].count("http://") == 2
    assert [path for path, _, _ in both.asked] == [
        "/oauth2/token",
        "/live/v1/models/flights/predict",
        "/endpoint/v1/models/flights/predict",
    ]


def test_given_one_api_of_two_with_another_model_then_the_error_names_its_url(both: World) -> None:
    both.answers = [answering(), answering("run-1")]
    with pytest.raises(
        AnswerError, match="/endpoint/v1/models/flights/predict serves model run-1, not run-2"
    ):
        handler(EVENT, Context())


def test_given_two_apis_then_the_first_leaves_the_second_time_for_a_try(both: World) -> None:
    """With 60 seconds left one API may be asked once more, and of two the first not."""
    both.answers = [answering("run-1"), answering()]
    with pytest.raises(AnswerError, match="/live/"):
        handler(EVENT, Context(seconds=60))


def test_given_no_api_then_nothing_passes_for_checked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_API_URLS", " ")
    with pytest.raises(ValueError, match="names no API"):
        handler(EVENT, Context())
    assert world.asked == []


def test_given_an_alias_still_spreading_then_the_probe_is_patient(world: World) -> None:
    world.answers = [answering("run-1"), (502, "bad gateway"), answering()]
    assert handler(EVENT, Context())["version"] == "run-2"
    assert len(world.asked) == 4


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (answering("run-1"), AnswerError, "serves model run-1, not run-2"),
        (answering(probabilities=(0.2, 0.5002)), AnswerError, r"gives \[0.2, 0.5002\], not \[0.2, 0.5\]"),
        (answering(probabilities=(0.2,)), AnswerError, r"gives \[0.2\]"),
        (answering(probabilities=()), AnswerError, r"gives \[\]"),
        ((200, "<html>"), AnswerError, "no prediction: <html>"),
        ((200, "{}"), AnswerError, "no prediction"),
        ((503, '{"title": "no model"}'), ApiError, "answered 503: .*no model"),
        ((401, "{}"), ApiError, "answered 401"),
    ],
)
def test_given_another_answer_for_good_then_the_probe_says_which(
    world: World, answer: tuple[int, str], error: type[Exception], reason: str
) -> None:
    world.answers = [answer]
    with pytest.raises(error, match=reason):
        handler(EVENT, Context())
    assert len(world.asked) == 1 + 4


def test_given_little_time_left_then_the_probe_reports_rather_than_tries_again(world: World) -> None:
    world.answers = [answering("run-1")]
    with pytest.raises(AnswerError):
        handler(EVENT, Context(seconds=20))
    assert len(world.asked) == 2


def test_given_a_refused_client_then_the_probe_says_so(world: World) -> None:
    world.token = lambda: (400, '{"error": "invalid_client"}')
    with pytest.raises(TokenError, match=r'answered 400: {"error": "invalid_client"}'):
        handler(EVENT, Context())


def test_given_no_api_at_all_then_the_probe_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_API_URLS", "http://127.0.0.1:1")
    with pytest.raises(ApiError, match=r"answered nothing: .*refused"):
        handler(EVENT, Context())


def test_given_an_address_that_is_not_https_then_no_token_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBE_API_URLS", "http://example.com")
    with pytest.raises(ValueError, match="not https"):
        handler(EVENT, Context())


def test_given_a_missing_setting_then_its_name_is_in_the_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBE_SCOPE")
    with pytest.raises(KeyError, match="PROBE_SCOPE"):
        handler(EVENT, Context())
