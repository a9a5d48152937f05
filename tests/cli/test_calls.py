from __future__ import annotations

import io
import json
import shlex
import subprocess
from typing import Any

import pytest
from rich.console import Console

from cli import api, calls
from cli.console import Voice
from cli.errors import CliError
from cli.session import Session, session

NAMES = {"api_url": "https://api"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Session:
    """The environment on this machine, whose token needs no call."""
    monkeypatch.delenv("MILLRACE_ENV", raising=False)
    monkeypatch.setattr(api, "access_token", lambda here, names: "token")
    monkeypatch.setattr("cli.calls.time.sleep", lambda _: None)
    return session("local", "flights")


def answers(monkeypatch: pytest.MonkeyPatch, *statuses: int) -> list[tuple[Any, ...]]:
    """The API answers with ``statuses``, one after the other; what was asked is noted."""
    left, asked = list(statuses), []

    def ask(*request: Any) -> api.Answer:
        asked.append(request)
        return api.Answer(left.pop(0), {"title": "told"})

    monkeypatch.setattr(api, "ask", ask)
    return asked


def test_the_call_that_is_shown_is_the_call_that_was_answered(
    here: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answers(monkeypatch, 200)
    calls.show(here, Voice(Console(file=io.StringIO())), calls.prediction(here, NAMES), NAMES)
    shown = capsys.readouterr().out
    words = shlex.split(shown[shown.index("curl") :])
    url, token, body = asked[0]
    assert url in words
    assert token == "token"
    assert words[words.index("--data") + 1].encode() == body
    assert json.loads(body)["records"] == [here.contract.examples[0]]


def test_a_call_that_is_not_answered_is_not_shown(
    here: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, 503)
    with pytest.raises(CliError, match="503 told"):
        calls.show(here, Voice(Console(file=io.StringIO())), calls.prediction(here, NAMES), NAMES)
    assert capsys.readouterr().out == ""


def test_a_gateway_that_was_deployed_just_now_is_asked_again(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, 502, 500, 200)
    assert calls.answered(calls.prediction(here, NAMES), "token").status == 200
    assert len(asked) == 3


def test_before_the_first_release_the_health_call_is_shown_though_it_answers_503(
    here: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, 503)
    calls.show(here, Voice(Console(file=io.StringIO())), calls.health(NAMES), NAMES)
    assert "https://api/health" in capsys.readouterr().out


def test_the_token_s_command_works_in_a_shell_that_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_PORT", "4599")
    command = calls.token_command(session("local"))
    assert command.startswith("MILLRACE_PORT=4599 /")
    shell = {"PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        ["/bin/sh", "-c", f"{command} --help"],
        cwd="/",
        env=shell,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith("usage: millrace token")
