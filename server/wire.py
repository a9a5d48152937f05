"""HTTP/1.1 as bytes: the head of a request read strictly, the head of an answer written.

The grammar is llhttp's (by httptools); what the framing of a body rests on is checked here once more, since
two readers that disagree on where a body ends are how requests are smuggled (RFC 9112, section 11.2).
"""

from __future__ import annotations

import re
from http import HTTPStatus

import httptools
import msgspec

LINE, END = b"\r\n", b"\r\n\r\n"
JSON = "application/json"
SANE_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")
"""Of a caller's ids those are taken that mean the same in every log, header and JSON text."""
_ONCE = frozenset({"host", "content-length", "transfer-encoding", "content-type", "content-encoding"})
_CHUNK = re.compile(rb"[0-9A-Fa-f]{1,8}")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
_VERSIONS = (b" HTTP/1.1", b" HTTP/1.0")
_MOST_LINE = 256
_MOST_TRAILERS = 8192


class Refusal(Exception):  # noqa: N818 - an answer, not an error of ours
    """Bytes that are no request that is taken. ``status`` and ``detail`` go to the caller."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(status, detail)
        self.status, self.detail = status, detail


class Head(msgspec.Struct, frozen=True, gc=False):
    """All of a request but its body. ``headers`` have lower-case names, ``path`` no query."""

    method: str
    path: str
    headers: dict[str, str]
    length: int
    chunked: bool
    keep_alive: bool
    old: bool
    """Whether it is HTTP/1.0, whose connections end unless both sides say otherwise."""
    expects: bool
    """Whether the body is held back until it is asked for."""
    plain: bool
    """Whether the body is declared as JSON that is not packed: what nearly all callers send."""
    request_id: str
    """The caller's own id where it is sane, else ""."""


class _Lines:
    """What the parser calls."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.parser = httptools.HttpRequestParser(self)
        self.keep_alive = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        before = self.headers.get(key)
        if before is not None and key in _ONCE:
            raise Refusal(400, f"The header `{key}` stands twice.")
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        self.keep_alive = self.parser.should_keep_alive()  # asked later, it has forgotten


def read_head(raw: bytes) -> Head:
    """Read the head of a request, up to and with its empty line. Raises Refusal."""
    lines = _Lines()
    parser = lines.parser
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # nothing but HTTP/1.1 is spoken here: the request is answered as if it had not asked
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, Refusal):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise Refusal(400, f"This is not HTTP/1.1: {error}.") from None
    finally:
        del lines.parser  # each holds the other
    first = raw.partition(LINE)[0]
    if not first.endswith(_VERSIONS):  # the parser reads RTSP too, and ICE
        raise Refusal(505, "HTTP/1.1 is spoken here.")
    return _head(parser.get_method().decode(), lines, old=first.endswith(_VERSIONS[1]))


def _head(method: str, lines: _Lines, *, old: bool) -> Head:
    headers = lines.headers
    if not old and "host" not in headers:
        raise Refusal(400, "The header `Host` is missing.")
    length, chunked = _framing(headers, old)
    expectation = headers.get("expect", "").lower()
    if expectation not in ("", "100-continue"):
        raise Refusal(417, "Of expectations only `100-continue` is met.")
    said = headers.get("x-request-id", "")
    plain = headers.get("content-type") == JSON and "content-encoding" not in headers
    return Head(
        *(method, _path(lines.target), headers, length, chunked, lines.keep_alive, old, bool(expectation)),
        plain=plain,
        request_id=said if SANE_ID.fullmatch(said) else "",
    )


def _framing(headers: dict[str, str], old: bool) -> tuple[int, bool]:
    """Return how many bytes the body has, and whether it comes in chunks instead."""
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if length is not None or old:
            raise Refusal(400, "Where the body ends is said in two ways.")
        if coding.lower() != "chunked":
            raise Refusal(501, "Of transfer codings only `chunked` is taken.")
        return 0, True
    if length is None:
        return 0, False
    if not (length.isascii() and length.isdigit()) or len(length) > 15:
        raise Refusal(400, "`Content-Length` is no number of bytes.")
    return int(length), False


def _path(target: bytes) -> str:
    try:
        path = httptools.parse_url(target).path
    except httptools.HttpParserInvalidURLError:
        raise Refusal(400, "The request's target is no path.") from None
    return (path or b"/").decode("latin-1")


class Chunks:
    """A body that comes in chunks, put together as it arrives. ``body`` is what has come of it."""

    def __init__(self, most: int) -> None:
        self.body = bytearray()
        self._most, self._left, self._wanted = most, bytearray(), -1
        self._trailers = 0

    @property
    def size(self) -> int:
        """How many bytes are held."""
        return len(self.body) + len(self._left)

    def feed(self, data: bytes) -> bytes | None:
        """Take ``data``; return what follows the body, or None while it has not ended. Raises Refusal."""
        self._left += data
        while (ended := self._step()) is False:
            pass
        return bytes(self._left) if ended else None

    def _step(self) -> bool | None:
        """Take one line or one chunk. True: the body has ended; None: more is needed for the next step."""
        if self._wanted > 0:
            return self._chunk()
        line = self._line()
        if line is None:
            return None
        if self._wanted == 0:  # the last chunk was read: trailers, which nobody needs, then an empty line
            self._trailers += len(line) + 2
            if self._trailers > _MOST_TRAILERS:
                raise Refusal(431, "The trailers are too large.")
            if line and not _FIELD.match(line):
                raise Refusal(400, "What follows the last chunk is no header.")
            return not line
        size = line.partition(b";")[0].rstrip(b" \t")
        if not _CHUNK.fullmatch(size):
            raise Refusal(400, "A chunk does not begin with its size.")
        self._wanted = int(size, 16)
        if len(self.body) + self._wanted > self._most:
            raise too_large(self._most)
        return False

    def _line(self) -> bytes | None:
        end = self._left.find(LINE, 0, _MOST_LINE + 2)
        if end < 0:
            if len(self._left) > _MOST_LINE:
                raise Refusal(400, "A line between chunks is too long.")
            return None
        line = bytes(self._left[:end])
        if _CONTROL.search(line):  # to another reader a line might end there
            raise Refusal(400, "A line between chunks holds a control character.")
        del self._left[: end + 2]
        return line

    def _chunk(self) -> bool | None:
        if len(self._left) < self._wanted + 2:
            return None
        if self._left[self._wanted : self._wanted + 2] != LINE:
            raise Refusal(400, "A chunk is longer than it says.")
        self.body += self._left[: self._wanted]
        del self._left[: self._wanted + 2]
        self._wanted = -1
        return False


def too_large(most: int) -> Refusal:
    """Return the refusal of a body of more than ``most`` bytes."""
    return Refusal(413, f"The body is too large; at most {most} bytes are read.")


def start_line(status: int) -> str:
    """Return the first line of an answer."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
