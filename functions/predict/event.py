"""API Gateway's proxy events, told apart."""

from __future__ import annotations

from binascii import Error as BinasciiError
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from .binary_form import BinaryForm
from .layout import STRANGE, Shape, Values
from .problem import Problem
from .request import PROBABILITIES, RECORDS, Request

Event = dict[str, Any]


def plain(event: Event) -> str | None:
    """Return the body of an event that is plainly JSON, without a look at every header; else None."""
    headers = event.get("headers")
    if headers is None or event.get("isBase64Encoded"):
        return None
    declared = headers.get("Content-Type") or headers.get("content-type")
    if declared != "application/json" or _coded(headers):
        return None
    body: str | None = event.get("body")
    return body if body and body.isascii() else None


def packed(event: Event) -> tuple[str, bool] | None:
    """Return the base64 of an event that plainly holds binary records, and whether to answer in binary.

    None for all else, and wherever not both can be told without a look at every header.
    """
    headers = event.get("headers")
    if headers is None or not event.get("isBase64Encoded"):
        return None
    declared = headers.get("Content-Type") or headers.get("content-type")
    accepted = headers.get("Accept") or headers.get("accept")
    if declared != RECORDS or accepted not in (PROBABILITIES, "*/*", "application/json") or _coded(headers):
        return None
    body: str | None = event.get("body")
    return (body, accepted == PROBABILITIES) if body else None


def _coded(headers: dict[str, str]) -> bool:
    return "Content-Encoding" in headers or "content-encoding" in headers


class EncodedForm:
    """Binary records in base64, which is what API Gateway makes of bytes."""

    def __init__(self, form: BinaryForm) -> None:
        self._form, self._kernel = form, form.kernel

    def ordinary(self, body: str) -> tuple[int, Shape]:
        """Fill the model's memory as BinaryForm does."""
        if self._kernel is None:
            return STRANGE
        return self._kernel.read(body.encode(), in_base64=True), "records"

    def values(self, body: str) -> tuple[Sequence[Values], Shape]:
        """Return the values of each record; raise Problem as BinaryForm does, and 400 for another text."""
        return self._form.values(decoded(body))


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
    content = _encoded(body) if text else decoded(body)
    return Request(route, model, headers, content, request_id, text)


def open_request(event: Event) -> tuple[str, str, dict[str, str], bytes]:
    """Return method, path, headers and body of an event below /v2; raise Problem 400 as ``request_of`` does.

    The path is put together from the resource: what the event calls its path may begin with that of a domain.
    """
    request = request_of(event, "", "")
    path = str(event.get("resource"))
    for name, value in (event.get("pathParameters") or {}).items():
        path = path.replace(f"{{{name}}}", _quoted(value))
    return str(event.get("httpMethod")), path, dict(request.headers), request.body


def _quoted(value: str) -> str:
    """Return a parameter as a part of a path, so that nothing in it parts the path again."""
    for letter in "%/?":
        value = value.replace(letter, f"%{ord(letter):02X}")
    return value


def _encoded(body: str) -> bytes:
    """Return the body's bytes; raise Problem 400 where it holds half a surrogate pair."""
    try:
        return body.encode()
    except UnicodeEncodeError:
        raise Problem(400, "The body is not UTF-8 text.") from None


def decoded(body: str) -> bytes:
    """Return the bytes of strict base64; raise Problem 400 for any other text."""
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
