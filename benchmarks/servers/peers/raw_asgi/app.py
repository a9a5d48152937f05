"""As little as can be put between a socket and the model in Python's usual way: ASGI and orjson.

``POST /predict`` takes ``{"records": [{…}]}``; ``POST /rows`` takes rows that the caller has encoded, as
float32, and answers in float32. Nothing is checked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import orjson

from ..bundled import Scorer

scorer = Scorer.open()
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    body = await whole(receive)
    if scope["path"] == "/predict":
        probabilities = scorer.score(orjson.loads(body)["records"])
        answer = orjson.dumps({"probabilities": probabilities}, option=orjson.OPT_SERIALIZE_NUMPY)
        kind = b"application/json"
    else:
        answer = scorer.run(np.frombuffer(body, "<f4").reshape(-1, scorer.columns)).tobytes()
        kind = b"application/octet-stream"
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def whole(receive: Receive) -> bytes:
    """Return the request's body."""
    message = await receive()
    if not message.get("more_body"):
        return bytes(message["body"])
    pieces = [message["body"]]
    while message.get("more_body"):
        message = await receive()
        pieces.append(message["body"])
    return b"".join(pieces)
