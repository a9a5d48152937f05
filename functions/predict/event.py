"""API Gateway's proxy events, told apart."""

from __future__ import annotations

from binascii import Error as BinasciiError
from collections.abc import Callable
from functools import cache
from typing import Any

from .problem import Problem
from .request import Request

Event = dict[str, Any]


def plain(event: Event) -> str | None:
    """Return the body of an event that is plainly JSON, without a look at every header; else None."""
    headers = event.get("headers")
    if headers is None or event.get("isBase64Encoded"):
        return None
    declared = headers.get("Content-Type") or headers.get("content-type")
    if declared != "application/json" or "Content-Encoding" in headers or "content-encoding" in headers:
        return None
    body: str | None = event.get("body")
    return body if body and body.isascii() else None


def identify(event: Event, context: Any) -> tuple[str, str]:
    """Return the request's id (API Gateway's, else Lambda's) and its route."""
    request_id = (event.get("requestContext") or {}).get("requestId")
    return str(request_id or getattr(context, "aws_request_id", "")), str(event.get("resource"))


def request_of(event: Event, route: str, request_id: str) -> Request:
    """Return the request of any event. Raises Problem 400 where its body cannot be turned into bytes.

    What API Gateway passes on as text it has unpacked, whatever ``Content-Encoding`` says.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value}
    model = (event.get("pathParameters") or {}).get("model") or ""
    body, text = event.get("body") or "", not event.get("isBase64Encoded")
    content = _encoded(body) if text else _decoded(body)
    return Request(route, model, headers, content, request_id, text)


def _encoded(body: str) -> bytes:
    """Return the body's bytes; raise Problem 400 where it holds half a surrogate pair."""
    try:
        return body.encode()
    except UnicodeEncodeError:
        raise Problem(400, "The body is not UTF-8 text.") from None


def _decoded(body: str) -> bytes:
    try:
        return bytes(decoder()(body, validate=True))
    except (BinasciiError, ValueError):
        raise Problem(400, "The body is not the base64 that its event says.") from None


@cache
def decoder() -> Callable[..., bytes]:
    """Return a decoder of base64, many times as fast as Python's own, but slower to import.

    Most requests need neither.
    """
    from pybase64 import b64decode  # noqa: PLC0415

    return b64decode
