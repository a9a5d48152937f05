"""How a request and its answer travel through InvokeEndpoint.

SageMaker hands on a body, its type and one header of 1024 visible ASCII characters, and makes an error of its
own of any answer but 200. So that header carries the rest of the request, and the answer is always 200, with
the true status and headers in a line of JSON before the body, and what is to be counted of it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
Response = dict[str, Any]

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
TYPE = "application/vnd.millrace.envelope"
STATUSES = range(100, 600)
LATEST = 1e11
"""Seconds since 1970 at which no model is made: beyond the year 5000."""
MOST = 1_000_000_000
"""More than any request holds."""
_UNSAFE = re.compile(r'[^ -~]|["\\]')
_MOST = {"model": 64, "request_id": 64, "content_encoding": 40, "accept": 200}
"""Characters kept of what a caller chose: all names that mean something here are shorter."""


class EnvelopeError(Exception):
    """An answer that is none of Millrace's server."""


@dataclass(frozen=True)
class Counts:
    """What the model's metrics count of an answer."""

    records: int = 0
    """Records that were given a probability."""
    warnings: int = 0
    """Fields of them that deserve a second look."""
    made_at: float | None = None
    """When the data were prepared that the model was made from, in seconds since 1970; None where unknown."""


UNCOUNTED = Counts()


@dataclass(frozen=True)
class Answer:
    """The proxy response, and what is counted of it."""

    response: Response
    counts: Counts


def wrap(event: Event, request_id: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of the call that carries an API Gateway proxy ``event``.

    Raises ``ValueError`` where the body is not the base64 that the event says.
    """
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items() if value}
    is_text = not event.get("isBase64Encoded")
    coding = headers.get("content-encoding", "").strip().lower()
    about = {
        "model": (event.get("pathParameters") or {}).get("model") or "",
        "request_id": request_id,
        # API Gateway has unpacked what arrives as text.
        "content_encoding": "" if is_text and coding == "gzip" else coding,
        # The form of an answer depends on what is accepted first.
        "accept": headers.get("accept", "").partition(",")[0].strip(),
    }
    carried = {"route": str(event.get("resource"))} | {
        name: _plain(value, _MOST[name]) for name, value in about.items()
    }
    token = base64.urlsafe_b64encode(json.dumps(carried, separators=(",", ":")).encode()).decode()
    return {
        "content-type": _plain(headers.get("content-type") or "application/json", 200),
        "accept": TYPE,
        ATTRIBUTES: f"millrace=1;{token}",
    }, _body(event, is_text)


def _plain(value: str, most: int) -> str:
    """``value`` as a header can hold it. What is replaced or cut off never meant anything to a model."""
    return _UNSAFE.sub("?", value[:most])


def _body(event: Event, is_text: bool) -> bytes:
    body = event.get("body") or ""
    if event.get("httpMethod") == "GET":
        return b"{}"  # there has to be a body, and nobody reads it
    return body.encode("utf-8", "surrogatepass") if is_text else base64.b64decode(body, validate=True)


def unwrap(content: bytes) -> Answer:
    """Return the proxy response that an answer carries, with its counts. Raises ``EnvelopeError``."""
    line, _, body = content.partition(b"\n")
    try:
        about = json.loads(line)
        if about["status"] not in STATUSES:
            raise ValueError("no status of HTTP")
        response = {"statusCode": int(about["status"]), "headers": dict(about["headers"])}
        carried = _carried(body) if about["bytes"] else {"body": body.decode()}
        return Answer({**response, **carried}, _counts(about))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EnvelopeError(f"the answer does not begin with an envelope ({type(error).__name__})") from error


def _carried(body: bytes) -> Response:
    """A binary body as API Gateway wants it."""
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _counts(about: Mapping[str, Any]) -> Counts:
    """What a container tells to be counted; an older image's tells nothing.

    What cannot be counted is left out: the caller shall have the answer all the same.
    """
    records, warnings = (_count(about.get(name)) for name in ("records", "warnings"))
    made_at = about.get("made_at")
    known = isinstance(made_at, int | float) and 0 <= made_at < LATEST
    return Counts(records, warnings, made_at if known else None)


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < MOST else 0
