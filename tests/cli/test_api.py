from __future__ import annotations

import base64
import shlex
from dataclasses import replace

import pytest

from cli.api import Answer, curl, predict_url, problem, signature, token_request
from cli.commands.token import token
from cli.errors import CliError
from cli.session import session
from infra.settings import Api

URL = "http://127.0.0.1:4566/restapis/ab12/live/_user_request_/v1/models/flights/predict"


def test_the_address_appends_the_route() -> None:
    assert predict_url("http://127.0.0.1:4566/restapis/ab12/live/_user_request_", "flights") == URL


def test_the_pasted_call_survives_a_shell_whatever_the_records_hold() -> None:
    body = b'{"records": [{"name": "O\'Hare $(rm) `x` \\\\ \\"q\\""}]}'
    words = shlex.split(curl(URL, body, printer="millrace token --env dev"))
    assert words[0] == "curl"
    assert words[words.index("--data") + 1] == body.decode()
    assert URL in words
    assert "Authorization: Bearer $(millrace token --env dev)" in words


def test_a_token_is_asked_for_with_the_client_s_secret() -> None:
    headers, body = token_request("id", "s:cret", "millrace-dev/predict")
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"id:s:cret"
    assert body == b"grant_type=client_credentials&scope=millrace-dev%2Fpredict"


def test_where_callers_sign_the_signature_covers_body_and_type_and_names_the_service() -> None:
    here = session("local", "flights")
    signed = signature(here, "https://ab12.execute-api.us-east-1.amazonaws.com/live/health", b"{}")
    assert "/us-east-1/execute-api/aws4_request" in signed["Authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date" in signed["Authorization"]
    assert signed["Content-Type"] == "application/json"


def test_where_callers_sign_no_token_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    dev = session("dev", "flights")
    signing = replace(dev, settings=replace(dev.settings, api=Api(auth="iam")))
    monkeypatch.setattr("cli.commands.token.session", lambda *_, **__: signing)
    with pytest.raises(CliError, match="gives no tokens"):
        token()


def test_a_problem_document_is_told_field_by_field() -> None:
    content = {
        "title": "Bad Request",
        "detail": "2 fields are wrong",
        "errors": [
            {"record": 0, "field": "temp", "problem": "'hot' is not a number"},
            {"record": 1, "problem": "is null, not an object"},
            {"field": "rows", "problem": "is not a member of a request"},
            {"problem": "is a list, not an object"},
        ],
    }
    told = problem(Answer(400, content), URL)
    assert told.problem.splitlines() == [
        "400 Bad Request: 2 fields are wrong",
        "  record 0, temp: 'hot' is not a number",
        "  record 1: is null, not an object",
        "  rows: is not a member of a request",
        "  the body: is a list, not an object",
    ]
    assert told.where == URL


def test_an_answer_that_is_no_json_is_told_as_it_is() -> None:
    assert problem(Answer(502, "upstream is gone"), URL).problem == "502: upstream is gone"


def test_before_the_first_release_the_remedy_is_to_train() -> None:
    told = problem(Answer(503, {"title": "no model has been released yet"}), URL)
    assert "millrace train" in told.remedy
