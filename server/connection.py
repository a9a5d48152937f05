"""One caller's connection: bytes in, requests answered in their order, bytes out.

A request is answered where it is read, on the loop: a prediction takes tens of microseconds, less than
handing it to another thread and back, and the model's memory is not for threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from select import POLLIN, poll
from typing import Protocol

from .wire import END, LINE, Chunks, Head, Refusal, read_head, too_large

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HEAD_BYTES = 16 * 1024
REQUEST_SECONDS = 30.0
"""The longest a request may take to arrive, and an answer to be fetched."""
IDLE_SECONDS = 75.0
PIECE_BYTES = 16 * 1024
"""How much of a body in chunks is looked at in one go."""
HELD_BYTES = 64 * 1024 * 1024
"""How much of requests that have arrived in part is held, of all callers together."""
BUFFERED_BYTES = 16 * 1024
"""How much of his answers a caller may leave unfetched before it counts; the system holds some, too."""
UNFETCHED_BYTES = 64 * 1024 * 1024
"""How much of answers that nobody fetches is held, of all callers together."""
TOLD_OFF = 32
"""How many callers beyond the most are told so; the files that are left are the process's own."""
LINGER_BYTES = 8 * 1024 * 1024
"""What is still read, and thrown away, of a caller who was refused: else he would see a reset, not why."""


class Desk(Protocol):
    """What answers requests."""

    @property
    def most_bytes(self) -> int:
        """The most bytes of a body that are read."""
        ...

    def answer(self, head: Head, body: bytes, *, last: bool) -> bytes:
        """Return the whole answer; with ``last`` it tells the caller that the connection ends."""
        ...

    def refuse(self, refusal: Refusal) -> bytes:
        """Return the answer to bytes that are no request; the connection ends with it."""
        ...


class Connections(set["Connection"]):
    """All that are open, ``most`` at a time. ``ending``: no further request is waited for."""

    def __init__(self, desk: Desk, now: Callable[[], float], most: int = 1000) -> None:
        super().__init__()
        self.desk, self.now, self.most, self.ending = desk, now, most, False
        self.held, self.most_held = 0, HELD_BYTES
        self.unfetched, self.most_unfetched = 0, UNFETCHED_BYTES
        self._waiting: dict[Connection, int] = {}

    def await_fetch(self, connection: Connection, size: int) -> None:
        """Count what is not fetched; of too much in all, cut off who has fetched nothing for longest."""
        self.fetched(connection)
        self._waiting[connection] = size
        self.unfetched += size
        while self.unfetched > self.most_unfetched:
            longest = next(iter(self._waiting))
            self.fetched(longest)
            longest.abort()

    def fetched(self, connection: Connection) -> None:
        """Count no longer what a caller has fetched, or will never fetch."""
        self.unfetched -= self._waiting.pop(connection, 0)

    def sweep(self) -> None:
        """End those that are too slow, or silent for too long."""
        now = self.now()
        for connection in list(self):
            connection.check(now)


class Connection(asyncio.Protocol):
    """Reads strictly, one request after another."""

    _transport: asyncio.Transport

    def __init__(self, all_open: Connections) -> None:
        self._all, self._desk, self._now = all_open, all_open.desk, all_open.now
        self._raw = b""
        self._head: Head | None = None
        self._rest, self._need = bytearray(), 0
        self._chunks: Chunks | None = None
        self._continued = self._full = self._refused = False
        self._lingered = self._held = 0
        self._since = all_open.now()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        if len(self._all) >= self._all.most + TOLD_OFF:
            self._transport.abort()
            return
        if len(self._all) >= self._all.most:
            self._refuse(Refusal(503, f"There are {self._all.most} connections already; try again."))
        self._all.add(self)
        self._transport.set_write_buffer_limits(high=BUFFERED_BYTES)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget."""
        self._all.fetched(self)
        self._all.held -= self._held
        self._held = 0
        self._all.discard(self)

    def pause_writing(self) -> None:
        """Stop reading requests of a caller who does not fetch his answers."""
        self._full = True
        self._since = self._now()
        self._transport.pause_reading()
        self._all.await_fetch(self, self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on with what has come meanwhile."""
        self._full = False
        self._since = self._now()
        self._all.fetched(self)
        self._transport.resume_reading()
        if self._rest:
            self._take_rest()
            self._hold()

    def eof_received(self) -> bool:
        """End: nothing more comes, and every whole request has been answered."""
        return False

    def data_received(self, data: bytes) -> None:
        """Answer every request that ``data`` completes."""
        if self._refused:
            self._linger(data)
        elif self._rest:
            self._rest += data
            if len(self._rest) >= self._need and not self._full:
                self._take_rest()
        else:
            if self._chunks is None:
                self._since = self._now()
            self._take(data)
        if self._rest or self._chunks is not None or self._held:
            self._hold()

    def _hold(self) -> None:
        """Count what waits here for the rest of its request; refuse it where too much waits in all."""
        waits = len(self._rest) + (self._chunks.size if self._chunks is not None else 0)
        self._all.held += waits - self._held
        self._held = waits
        if waits and self._all.held > self._all.most_held:
            self._refuse(Refusal(503, "Too many large requests arrive at once; try again."))

    def _take_rest(self) -> None:
        data = bytes(self._rest)
        self._rest.clear()
        self._take(data)

    @property
    def busy(self) -> bool:
        """Whether a request has arrived in part, or an answer has not left yet."""
        return bool(
            self._rest or self._chunks is not None or self._full or self._transport.get_write_buffer_size()
        )

    def check(self, now: float) -> None:
        """End the connection where its caller is too slow, or has been silent for too long."""
        waited = now - self._since
        if self._full or self._refused:
            if waited > REQUEST_SECONDS:
                self._transport.abort()
        elif self._rest or self._chunks is not None:
            if waited > REQUEST_SECONDS:
                self._refuse(Refusal(408, f"The request did not arrive within {REQUEST_SECONDS:.0f} s."))
        elif waited > IDLE_SECONDS:
            if self._transport.get_write_buffer_size():
                self._transport.abort()  # an answer too small to pause for, which nobody fetches
            else:
                self.leave()

    def leave(self) -> None:
        """End an idle connection, unless a request is in the system's memory already."""
        if not self.busy and not self._transport.is_closing() and not self._something_there():
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()

    def _something_there(self) -> bool:
        socket = self._transport.get_extra_info("socket")
        watch = poll()
        watch.register(socket.fileno(), POLLIN)
        return bool(watch.poll(0))

    def _take(self, data: bytes) -> None:
        """Answer the requests in ``data``, the first of which may have begun before; keep what is left."""
        try:
            at = 0
            while at < len(data) and not self._full and not self._transport.is_closing():
                stop = self._one(data, at)
                if stop < 0:
                    return
                at = stop
            if at < len(data) and not self._transport.is_closing():
                self._keep(data[at:], 0)
        except Refusal as refusal:
            self._refuse(refusal)

    def _one(self, data: bytes, at: int) -> int:
        """Answer the request at ``at`` and return where the next begins; -1 where it has not all come."""
        if self._chunks and self._head:
            return self._feed(self._chunks, self._head, data, at)
        while data.startswith(LINE, at):  # a blank line before a request (RFC 9112, section 2.2)
            at += 2
        end = data.find(END, at, at + HEAD_BYTES)
        if end < 0:
            if len(data) - at >= HEAD_BYTES:
                raise Refusal(431, f"The head of the request has more than {HEAD_BYTES} bytes.")
            return self._keep(data[at:], 0)
        head = self._head_of(data[at : end + 4])
        if head.chunked:
            return self._begin_chunks(head, data, end + 4)
        stop = end + 4 + head.length
        if stop > len(data):
            self._await_body(head)
            return self._keep(data[at:], stop - at)
        self._answer(head, data[end + 4 : stop], more=stop < len(data))
        return stop

    def _head_of(self, raw: bytes) -> Head:
        """Read a head; that of a caller who sends the same one again is known."""
        if self._head is None or raw != self._raw:
            self._head, self._raw = read_head(raw), raw
        return self._head

    def _keep(self, data: bytes, need: int) -> int:
        self._rest += data
        self._need = need
        return -1

    def _await_body(self, head: Head) -> None:
        if head.length > self._desk.most_bytes:
            raise too_large(self._desk.most_bytes)
        if head.expects and not self._continued:
            self._continued = True
            self._transport.write(CONTINUE)

    def _begin_chunks(self, head: Head, data: bytes, at: int) -> int:
        self._chunks = Chunks(self._desk.most_bytes)
        if head.expects and at == len(data):
            self._transport.write(CONTINUE)
        return self._feed(self._chunks, head, data, at)

    def _feed(self, chunks: Chunks, head: Head, data: bytes, at: int) -> int:
        """Read a body in chunks from ``at`` on; answer and return as ``_one`` does."""
        while at < len(data):
            piece = data[at : at + PIECE_BYTES]
            at += len(piece)
            rest = chunks.feed(piece)
            if rest is not None:
                self._chunks = None
                at -= len(rest)
                self._answer(head, bytes(chunks.body), more=at < len(data))
                return at
        return -1

    def _answer(self, head: Head, body: bytes, *, more: bool) -> None:
        last = not head.keep_alive or (self._all.ending and not more)
        self._continued = False
        self._transport.write(self._desk.answer(head, body, last=last))
        if not head.keep_alive:
            self._transport.close()
        elif last:
            self.leave_soon()

    def leave_soon(self) -> None:
        """End once the answer is out, unless another request has come by then."""
        asyncio.get_running_loop().call_soon(self._left)

    def _left(self) -> None:
        if self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() or self._something_there():
            asyncio.get_running_loop().call_later(0.005, self._left)
        elif not self.busy:
            self._transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        self._refused = True
        self._chunks = None
        self._rest.clear()
        self._hold()
        self._since = self._now()
        self._transport.write(self._desk.refuse(refusal))
        self._transport.write_eof()

    def _linger(self, data: bytes) -> None:
        self._lingered += len(data)
        if self._lingered > LINGER_BYTES:
            self._transport.abort()
