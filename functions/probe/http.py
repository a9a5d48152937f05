"""HTTP with the standard library: one POST, and what came of it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Authorize = Callable[[str, bytes, Mapping[str, str]], Mapping[str, str]]
"""URL, body and headers of a request → the headers that say who asks."""
JSON = {"Content-Type": "application/json"}
SECONDS = 30
"""API Gateway gives up after 29."""


@dataclass(frozen=True)
class Reply:
    """``status`` 0 stands for no answer at all; ``body`` then says why."""

    status: int
    body: str


def post(url: str, body: bytes, headers: dict[str, str]) -> Reply:
    """POST ``body`` to ``url``; an answer of any status is a reply, not an exception."""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError(f"{url}: not https; correct the deployment's settings")
    asked = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 checked above
    try:
        with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310 checked above
            return Reply(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read().decode(errors="replace"))
    except OSError as error:
        return Reply(0, str(error))


@dataclass(frozen=True)
class Client:
    """A caller of predict routes."""

    authorize: Authorize

    def post(self, url: str, body: str) -> Reply:
        """Send a request's JSON text to ``url`` as any caller would."""
        content = body.encode()
        return post(url, content, {**JSON, **self.authorize(url, content, JSON)})
