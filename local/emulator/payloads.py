"""Bodies of requests: API Gateway unpacks what is compressed, and passes on in base64 what is binary.

MiniStack hands compressed bodies on as they are, and knows of no binary one without a header that says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import apigateway_v1

from local.hooks import expect, replace

_LIMIT = 10_000_000
"""The most bytes that API Gateway takes, packed or not."""
_WINDOWS = {"gzip": 31, "deflate": 15}


def install() -> None:
    """Unpack bodies that say they are packed, refuse what is not what it says; let ``*/*`` be everything."""
    replace(apigateway_v1, "_media_type_matches", ("media_type", "binary_media_types"), _any_is_any)
    expect(apigateway_v1, "_gw_error", ("response_type", "message"))
    expect(apigateway_v1, "_stages_v1")
    replace(
        apigateway_v1,
        "_execute_in_scope",
        (
            *("request", "api_id", "stage_name", "method", "path", "headers", "body", "query_params"),
            *("owner_account_id", "owner_region"),
        ),
        _unpacking,
    )


def _any_is_any(original: Callable[..., bool]) -> Callable[..., bool]:
    def matches(media_type: Any, binary_media_types: Any) -> bool:
        # Also the request that names none, be it in Content-Type or in Accept.
        return "*/*" in (binary_media_types or ()) or original(media_type, binary_media_types)

    return matches


def _unpacking(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def execute(*given: Any) -> Any:
        request, api, stage, headers, body = *given[:3], *given[5:7]
        coding = str((headers or {}).get("content-encoding", "")).strip().lower()
        # What refuses the body below is rendered by what the stage has deployed.
        request["stage"] = apigateway_v1._stages_v1.get(api, {}).get(stage)
        if not body or not request["stage"] or coding in ("", "identity"):
            return await original(*given)
        try:
            plain = unpacked(body, coding)
        except ValueError as error:
            return apigateway_v1._gw_error("UNSUPPORTED_MEDIA_TYPE", str(error))
        return await original(*given[:6], plain, *given[7:])

    return execute


def unpacked(body: bytes, coding: str) -> bytes:
    """Return what ``body`` holds, which ``coding`` is said to have packed. Raises ValueError."""
    if coding not in _WINDOWS:
        raise ValueError(f"Content-Encoding {coding} is not supported")
    unpack = zlib.decompressobj(wbits=_WINDOWS[coding])
    try:
        plain = unpack.decompress(body, _LIMIT + 1)
    except zlib.error as error:
        raise ValueError(f"The body is not {coding}") from error
    if not unpack.eof or len(plain) > _LIMIT:
        raise ValueError(f"The body is not whole {coding}, or too large")
    return plain
