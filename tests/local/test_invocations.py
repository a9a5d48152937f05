"""What a caller of an endpoint meets, by what its container said."""

from __future__ import annotations

import json

import pytest

from local.emulator import endpoints, invocations
from local.executors.hosting import Answer

PATH = "/endpoints/live/invocations"


def saying(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    """Let the container answer so."""
    monkeypatch.setattr(endpoints, "invoke", lambda name, body, headers: answer)


def test_given_attributes_and_a_type_in_the_answer_then_the_caller_gets_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"content-type": "a/b", "x-amzn-sagemaker-custom-attributes": "c=d", "server": "mine"}
    saying(monkeypatch, Answer(200, said, b"\x00\xff"))
    reply = invocations.answer("POST", PATH, {}, b"")
    assert reply is not None
    status, headers, body = reply
    assert (status, body) == (200, b"\x00\xff")
    assert headers == {
        "content-type": "a/b",
        "X-Amzn-SageMaker-Custom-Attributes": "c=d",
        "x-Amzn-Invoked-Production-Variant": "live",
    }


@pytest.mark.parametrize(("status", "kind"), [(404, "client"), (503, "server"), (0, "server")])
def test_given_any_refusal_then_it_is_a_model_error_with_what_was_said(
    monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    saying(monkeypatch, Answer(status, {}, b"no"))
    reply = invocations.answer("POST", PATH, {}, b"")
    assert reply is not None
    assert (reply[0], reply[1]["x-amzn-ErrorType"]) == (424, "ModelError")
    members = json.loads(reply[2])
    assert (members["OriginalStatusCode"], members["OriginalMessage"]) == (status, "no")
    assert f"{kind} error ({status})" in members["Message"]


@pytest.mark.parametrize("path", ["/endpoints/live/async-invocations", PATH + "-response-stream"])
def test_given_another_way_to_invoke_then_it_is_refused_loudly(path: str) -> None:
    reply = invocations.answer("POST", path, {}, b"")
    assert reply is not None
    assert reply[0] == 400
    assert b"does not offer" in reply[2]


@pytest.mark.parametrize(("method", "path"), [("GET", PATH), ("POST", "/endpoints"), ("POST", "/")])
def test_given_a_request_of_another_kind_then_it_is_left_to_others(method: str, path: str) -> None:
    assert invocations.answer(method, path, {}, b"") is None
