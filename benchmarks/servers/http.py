"""As much of HTTP/1.1 as a load generator needs: requests as bytes made beforehand, and where answers end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_ENOUGH = 65536
"""Bytes after which a head that has not ended is no HTTP."""


class HttpError(Exception):
    """What came is no answer that this reads. Says what it was."""


@dataclass(frozen=True)
class Answer:
    """A whole answer; ``closes`` if the server will end the connection after it."""

    status: int
    body: bytes
    closes: bool = False


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a whole request as it goes over the connection, which is kept open."""
    lines = {"Host": "127.0.0.1", "Accept": "*/*", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def answer(data: bytes | bytearray) -> Answer | None:
    """Return the answer that ``data`` holds, None while it is not all there. Raises HttpError."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > _ENOUGH or not b"HTTP/1.1 ".startswith(data[:9]):
            raise HttpError(f"no HTTP/1.1 answer begins with {bytes(data[:60])!r}")
        return None
    head = bytes(data[: end + 2])
    body = _body(head, data, end + 4)
    return None if body is None else Answer(_status(head), body, _CLOSE.search(head) is not None)


def _status(head: bytes) -> int:
    if not (head.startswith(b"HTTP/1.1 ") and head[9:12].isdigit()):
        raise HttpError(f"no HTTP/1.1 answer begins with {head[:60]!r}")
    return int(head[9:12])


def _body(head: bytes, data: bytes | bytearray, start: int) -> bytes | None:
    if length := _LENGTH.search(head):
        end = start + int(length[1])
        return bytes(data[start:end]) if len(data) >= end else None
    if _CHUNKED.search(head):
        return _chunks(data, start)
    raise HttpError(f"an answer tells neither its length nor that it comes in chunks: {head[:200]!r}")


def _chunks(data: bytes | bytearray, start: int) -> bytes | None:
    """Return the chunks from ``start`` put together, None while the last is missing. No trailers."""
    body = bytearray()
    while (end := data.find(b"\r\n", start)) >= 0:
        size = int(bytes(data[start:end]).split(b";")[0], 16)
        start = end + 2
        if len(data) < start + size + 2:
            return None
        if not size:
            return bytes(body)
        body += data[start : start + size]
        start += size + 2
    return None
