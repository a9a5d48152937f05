"""How a request and its answer travel through InvokeEndpoint.

SageMaker hands on a body, its type and one header of 1024 visible ASCII characters, and makes an error of its
own of any answer but 200. So that header carries the rest of the request, and the answer is always 200, with
the true status and headers in a line of JSON before the body.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

Event = dict[str, Any]
Response = dict[str, Any]

ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
TYPE = "application/vnd.millrace.envelope"
STATUSES = range(100, 600)
_UNSAFE = re.compile(r'[^ -~]|["\\]')
_MOST = {"model": 64, "request_id": 64, "content_encoding": 40, "accept": 200}
"""Characters kept of what a caller chose: all names that mean something here are shorter."""


class EnvelopeError(Exception):
    """An answer that is none of Millrace's server."""


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


def unwrap(content: bytes) -> Response:
    """Return the proxy response that an answer carries. Raises ``EnvelopeError``."""
    line, _, body = content.partition(b"\n")
    try:
        about = json.loads(line)
        if about["status"] not in STATUSES:
            raise ValueError("no status of HTTP")
        response = {"statusCode": int(about["status"]), "headers": dict(about["headers"])}
        if about["bytes"]:
            return {**response, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
        return {**response, "body": body.decode()}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EnvelopeError(f"the answer does not begin with an envelope ({type(error).__name__})") from error
