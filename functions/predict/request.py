"""What a caller asked of the predict route: the proxy event's headers and body, told apart."""

from __future__ import annotations

import zlib
from binascii import Error as BinasciiError
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import msgspec

from .problem import Problem

Event = dict[str, Any]

RECORDS = "application/vnd.millrace.records"
PROBABILITIES = "application/vnd.millrace.probabilities"
_GZIP = b"\x1f\x8b"


class Request(msgspec.Struct, frozen=True, gc=False):
    """A body in one of the two forms. ``floats``: the answer is to be the probabilities alone, in binary."""

    form: Literal["json", "binary"]
    body: bytes
    floats: bool = False


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


def read(event: Event, limit: int) -> Request:
    """Read any event; ``limit`` is the most bytes a body may have.

    Raises Problem 400 where there is no body, 413 where it is far too large, 415 where it is declared as
    something that is not taken.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value}
    form = _form(_media_type(headers.get("content-type", "")))
    coding = headers.get("content-encoding", "").strip().lower()
    # API Gateway sends bytes only to who asks for them first.
    floats = form == "binary" and _media_type(headers.get("accept", "").partition(",")[0]) == PROBABILITIES
    return Request(form, _body(event, form, coding, limit), floats)


def _media_type(declared: str) -> str:
    return declared.partition(";")[0].strip().lower()


def _form(media: str) -> Literal["json", "binary"]:
    if media == RECORDS:
        return "binary"
    if (
        not media
        or media == "application/json"
        or (media.startswith("application/") and media.endswith("+json"))
    ):
        return "json"
    raise Problem(415, f"Send JSON with `Content-Type: application/json`, or binary records as `{RECORDS}`.")


def _body(event: Event, form: str, coding: str, limit: int) -> bytes:
    body = event.get("body")
    if not body:
        raise Problem(400, 'There is no body. Send {"records": [{…}, …]}.')
    if len(body) > 2 * limit:
        raise Problem(413, f"The body is too large; at most {limit} bytes are taken.")
    if coding not in ("", "identity", "gzip"):
        raise Problem(415, "Of compressed bodies only `Content-Encoding: gzip` is taken.")
    if not event.get("isBase64Encoded"):
        # API Gateway has unpacked what was compressed, and read it as text.
        if form == "binary":
            raise Problem(400, f"The body of `{RECORDS}` did not arrive as bytes.")
        return encoded(body)
    content = _decoded(body)
    return _unpacked(content, limit) if content.startswith(_GZIP) and coding == "gzip" else content


def encoded(body: str) -> bytes:
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


def _unpacked(content: bytes, limit: int) -> bytes:
    """Unpack gzip, but never more than a request may hold."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        body = unpack.decompress(content, limit + 1)
    except zlib.error as error:
        raise Problem(400, f"The body is not gzip, as `Content-Encoding` says: {error}.") from None
    if len(body) > limit:
        raise Problem(413, f"The unpacked body is too large; at most {limit} bytes are taken.")
    if not unpack.eof:
        raise Problem(400, "The gzip of the body ends early.")
    if unpack.unused_data:
        raise Problem(400, "More follows the gzip of the body. Pack it as one piece.")
    return body
