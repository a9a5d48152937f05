"""A request within a request: a SageMaker endpoint hides the 4xx of its container from callers.

The caller's own path, id and headers come in the header ``X-Amzn-SageMaker-Custom-Attributes``; the answer is
always 200: a line of JSON with the true status and headers and what is to be counted, and after it the body.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping

import msgspec

from functions.predict.core import Reply
from functions.predict.request import Request

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
MARK = "millrace=1;"
CONTENT_TYPE = "application/vnd.millrace.envelope"


class Address(msgspec.Struct, frozen=True):
    """What the caller asked for, beside the body."""

    route: str
    model: str = ""
    request_id: str = ""
    content_encoding: str = ""
    accept: str = ""


class Wrapped(Reply, frozen=True, kw_only=True):
    """A reply that carries another, whose status was ``within``."""

    within: int


def status_of(reply: Reply) -> int:
    """Return the status that a reply tells the caller in the end: what is counted."""
    return reply.within if isinstance(reply, Wrapped) else reply.status


def is_enveloped(headers: Mapping[str, str]) -> bool:
    """Whether a request carries another."""
    return headers.get(ATTRIBUTES, "").startswith(MARK)


def unwrap(headers: Mapping[str, str], body: bytes) -> Request:
    """Return the request within. Raises ValueError where the envelope cannot be read."""
    text = headers[ATTRIBUTES].removeprefix(MARK)
    try:
        found = msgspec.json.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Address)
    except RecursionError:
        raise ValueError("the envelope is nested too deep") from None
    given = {
        "content-type": headers.get("content-type", ""),
        "content-encoding": found.content_encoding,
        "accept": found.accept,
    }
    inner = {name: value for name, value in given.items() if value}
    return Request(found.route, found.model, inner, body, found.request_id)


def wrap(reply: Reply, made_at: float | None) -> Reply:
    """Return the reply that carries ``reply``; its failure is not carried on.

    ``made_at`` (seconds since 1970) is when the data were prepared of which the model was made that answered.
    """
    about = {
        "status": reply.status,
        "headers": reply.headers,
        "bytes": isinstance(reply.body, bytes),
        "records": reply.records,
        "warnings": reply.warnings,
        "made_at": made_at,
    }
    body = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
    content = msgspec.json.encode(about) + b"\n" + body
    told = {"Content-Type": CONTENT_TYPE}
    return Wrapped(content, told, 200, reply.records, reply.warnings, within=reply.status)
