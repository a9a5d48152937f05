"""The load generator: so many connections, on each the next request as soon as the last is answered."""

from __future__ import annotations

import gc
import math
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.servers.http import Answer, HttpError, answer

PATIENCE = 20.0
"""Seconds that one answer may take."""
_PIECE = 1 << 18


class LoadError(Exception):
    """A request was not answered as it should. Says how; ``status`` is that of an answer which is no 200."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Load:
    """What came of a load: seconds from its first request to its last answer, and each answer's latency."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.latencies) / self.seconds


class Connection:
    """A kept-open connection with at most one request under way."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = bytearray()
        self.asked = 0.0

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.asked = perf_counter()
        self.socket.sendall(request)

    def take(self) -> Answer | None:
        """Read what has come; return the answer once it is whole. Raises LoadError unless it is a 200."""
        piece = self.socket.recv(_PIECE)
        if not piece:
            raise LoadError("the server closed a connection before it answered")
        data = self._data
        data += piece
        found = _understood(data)
        if found is not None:
            data.clear()
            if found.status != 200:
                said = found.body[:300].decode(errors="replace")
                raise LoadError(f"answered {found.status}: {said}", found.status)
        return found

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


def _understood(data: bytearray) -> Answer | None:
    try:
        return answer(data)
    except HttpError as error:
        raise LoadError(str(error)) from error


def once(port: int, request: bytes, patience: float = PATIENCE) -> bytes:
    """Send one request over a connection of its own and return its answer's body.

    Raises LoadError, and OSError where nobody listens or ``patience`` seconds pass without a byte.
    """
    connection = Connection(port, patience)
    try:
        connection.ask(request)
        while (found := connection.take()) is None:
            pass
    finally:
        connection.close()
    return found.body


def drive(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """Send ``request`` over and over for ``seconds``; every answer that was asked for is waited for.

    Raises LoadError at the first answer that is no 200 or does not come, OSError where nobody listens.
    """
    with _opened(port, connections) as opened, _without_pauses():
        return _drive(opened, request, seconds)


def _drive(opened: Sequence[Connection], request: bytes, seconds: float) -> Load:
    load, by_descriptor = Load(), {one.socket.fileno(): one for one in opened}
    with select.epoll() as poll:
        for descriptor in by_descriptor:
            poll.register(descriptor, select.EPOLLIN)
        started = perf_counter()
        for one in opened:
            one.ask(request)
        waiting = len(opened)
        while waiting:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise LoadError(f"no answer within {PATIENCE:g} s")
            for descriptor, _ in ready:
                one = by_descriptor[descriptor]
                if one.take() is None:
                    continue
                now = perf_counter()
                load.latencies.append(now - one.asked)
                if now - started < seconds:
                    one.ask(request)
                else:
                    waiting -= 1
        load.seconds = perf_counter() - started
    return load


@contextmanager
def _opened(port: int, count: int) -> Iterator[list[Connection]]:
    with ExitStack() as stack:
        opened = [Connection(port) for _ in range(count)]
        for one in opened:
            stack.callback(one.close)
        yield opened


@contextmanager
def _without_pauses() -> Iterator[None]:
    """Keep this process from collecting garbage, which would stand in the latencies."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that ``share`` (0 to 1) of them do not exceed: the nearest rank.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("no values to take a percentile of")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
