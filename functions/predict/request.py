"""What a caller asked for: a request as any server sees it, and how its body is written."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from .problem import Problem

RECORDS = "application/vnd.millrace.records"
PROBABILITIES = "application/vnd.millrace.probabilities"
_GZIP = b"\x1f\x8b"


class Request(msgspec.Struct, frozen=True, gc=False):
    """One request. ``headers`` have lower-case names; ``model`` is the name in the path, "" without one.

    ``text``: the body came as text, so whoever passed it on has unpacked it and no byte of it is binary.
    """

    route: str
    model: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    text: bool = False


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A body in one of the two forms. ``floats``: the answer is to be the probabilities alone, in binary."""

    form: Literal["json", "binary"]
    body: bytes
    floats: bool = False


def read(request: Request, limit: int) -> Asked:
    """Read a predict request; ``limit`` is the most bytes a body may have.

    Raises Problem 400 where there is no body, 413 where it is far too large, 415 where it is declared as
    something that is not taken.
    """
    headers = request.headers
    form = _form(_media_type(headers.get("content-type", "")))
    # API Gateway sends bytes only to who asks for them first.
    floats = form == "binary" and _media_type(headers.get("accept", "").partition(",")[0]) == PROBABILITIES
    return Asked(form, _body(request, form, limit), floats)


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


def _body(request: Request, form: str, limit: int) -> bytes:
    body, coding = request.body, request.headers.get("content-encoding", "").strip().lower()
    if not body:
        raise Problem(400, 'There is no body. Send {"records": [{…}, …]}.')
    if len(body) > 2 * limit:
        raise Problem(413, f"The body is too large; at most {limit} bytes are taken.")
    if coding not in ("", "identity", "gzip"):
        raise Problem(415, "Of compressed bodies only `Content-Encoding: gzip` is taken.")
    if request.text and form == "binary":
        raise Problem(400, f"The body of `{RECORDS}` did not arrive as bytes.")
    packed = coding == "gzip" and not request.text and body.startswith(_GZIP)
    return _unpacked(body, limit) if packed else body


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
