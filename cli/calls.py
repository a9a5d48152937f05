"""Calls to paste: rendered for a shell, and shown only after the very same call has been answered."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli import api, records
from cli.console import result

if TYPE_CHECKING:
    from cli.console import Voice
    from cli.session import Session

NEEDED = ("api_url", "user_pool_id", "client_id", "token_url", "scope")
"""Outputs that a call goes by."""
READY_SECONDS = 20
"""A stage that was deployed a moment ago may need this long to answer."""


@dataclass(frozen=True)
class Call:
    """A request of the API: GET where there is no body. ``expected`` is the status that shows it works."""

    url: str
    body: bytes | None = None
    expected: int = 200


def health(names: Mapping[str, str]) -> Call:
    """Give the call that asks for the API's health: 503 tells that no model has been released yet."""
    return Call(f"{names['api_url']}/health", expected=503)


def prediction(session: Session, names: Mapping[str, str]) -> Call:
    """Give the call that predicts the first example of the contract."""
    url = api.predict_url(names["api_url"], session.workload)
    return Call(url, records.body(session.contract.examples[:1]))


def show(session: Session, voice: Voice, call: Call, names: Mapping[str, str]) -> None:
    """Make ``call`` with a token; once it is answered, print the API's URL and the call to paste.

    Raises `CliError` where it is not answered as expected.
    """
    with voice.busy(f"calling {call.url}"):
        answer = answered(call, api.access_token(session, names))
    if answer.status != call.expected:
        raise api.problem(answer, call.url)
    voice.say(f"the API answers {answer.status}: {json.dumps(answer.content, ensure_ascii=False)}")
    result(f"\nAPI  {names['api_url']}\n\n{api.curl(call.url, call.body, printer=token_command(session))}")


def token_command(session: Session) -> str:
    """Give the command that prints a token, so that it works in any folder of any new shell."""
    script = Path(sys.executable).with_name("millrace")
    port = (
        f"MILLRACE_PORT={session.settings.port} " if session.local and "MILLRACE_PORT" in os.environ else ""
    )
    return f"{port}{shlex.quote(str(script))} token{session.env_flag}"


def answered(call: Call, token: str) -> api.Answer:
    """Make ``call``; again for a while where the gateway itself cannot answer yet."""
    limit = time.monotonic() + READY_SECONDS
    while True:
        answer = api.ask(call.url, token, call.body)
        if answer.status < 500 or answer.status == 503 or time.monotonic() > limit:
            return answer
        time.sleep(1)
