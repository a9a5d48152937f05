"""The prediction core as an ASGI and as an RSGI application: the least that either needs."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from functions.predict.core import Core

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

core = Core.open(os.environ["BUNDLE"])
names = count()


def answer(body: bytes) -> bytes:
    """Answer a predict request in JSON."""
    predictor = core.predictor
    if predictor is None:
        raise RuntimeError("BUNDLE names a folder without a manifest.json")
    found = predictor.predict(predictor.json, body, f'"{next(names):032x}"').body
    return found.encode() if isinstance(found, str) else found


HEADERS = list(core.json_headers.items())
BYTES = [(name.lower().encode(), value.encode()) for name, value in HEADERS]


async def asgi(_: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request by ASGI."""
    content = answer(await whole(receive))
    headers = [*BYTES, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def whole(receive: Receive) -> bytes:
    """Return the request's body."""
    message = await receive()
    content: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        content += message["body"]
    return content


class Rsgi:
    """Answers by RSGI, granian's own interface."""

    async def __rsgi__(self, _: Any, protocol: Any) -> None:
        """Answer one request."""
        protocol.response_bytes(200, HEADERS, answer(await protocol()))


rsgi = Rsgi()
