"""Bytes in, answers out: what is taken, what is refused, and who waits for whom."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from server import connection
from server.connection import Connection, Connections
from server.wire import Head, Refusal

HOST = b"Host: a\r\n"


class Desk:
    """Answers with what it was asked, so that a test can tell."""

    most_bytes = 1000

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []

    def answer(self, head: Head, body: bytes, *, last: bool) -> bytes:
        self.asked.append((head.method, head.path, body))
        return b"<%b%b>" % (body or head.path.encode(), b" last" if last else b"")

    def refuse(self, refusal: Refusal) -> bytes:
        return b"<%d>" % refusal.status


class Wire:
    """Stands in for the transport."""

    def __init__(self) -> None:
        self.sent, self.ended, self.reading = b"", "", True
        self.unsent = self.high = 0
        self._ours, self.theirs = socket.socketpair()

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"

    def write_eof(self) -> None:
        self.ended = "half"

    def is_closing(self) -> bool:
        return self.ended in ("closed", "aborted")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, _: str) -> Any:
        return self._ours

    def forget(self) -> None:
        self._ours.close()
        self.theirs.close()


class Caller:
    """A connection with a clock of its own."""

    def __init__(self) -> None:
        self.time = 0.0
        self.desk = Desk()
        self.all = Connections(self.desk, lambda: self.time)
        self.wire = Wire()
        self.connection = Connection(self.all)
        self.connection.connection_made(self.wire)  # type: ignore[arg-type]

    def send(self, data: bytes) -> bytes:
        before = len(self.wire.sent)
        self.connection.data_received(data)
        return self.wire.sent[before:]

    def wait(self, seconds: float) -> str:
        self.time += seconds
        self.all.sweep()
        return self.wire.ended


@pytest.fixture
def caller() -> Iterator[Caller]:
    made = Caller()
    yield made
    made.wire.forget()


def post(body: bytes, *more: bytes, path: bytes = b"/p") -> bytes:
    lines = b"".join(line + b"\r\n" for line in more)
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (path, HOST, len(body), lines, body)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    packed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"POST /c HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b%b" % (HOST, packed, end)


GET = b"GET /g?x=1 HTTP/1.1\r\n" + HOST + b"\r\n"
STREAM = post(b"one") + GET + chunked(b"two", b"three") + b"\r\n" + post(b"four") + chunked() + post(b"five")
ANSWERS = b"<one></g><twothree><four></c><five>"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, len(STREAM)])
def test_given_requests_in_a_row_when_they_come_in_pieces_then_each_is_answered_in_turn(
    caller: Caller, size: int
) -> None:
    for place in range(0, len(STREAM), size):
        caller.send(STREAM[place : place + size])

    assert caller.wire.sent == ANSWERS
    assert not caller.connection.busy


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET / RTSP/1.1\r\n" + HOST + b"\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\nContent-Length: 1\r\n\r\nx", 417),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * connection.HEAD_BYTES, 431),
        (chunked(end=b"-1\r\n"), 400),
        (chunked(end=b"0x1\r\n"), 400),
        (chunked(end=b"\r\n"), 400),
        (chunked(end=b"2\r\nabc\r\n"), 400),
        (chunked(end=b" 0\r\n\r\n"), 400),
        (chunked(end=b"1;\nxx\r\nx\r\n0\r\n\r\n"), 400),
        (chunked(end=b"1;\rxx\r\nx\r\n0\r\n\r\n"), 400),
        (chunked(end=b"0\r\nGET /smuggled HTTP/1.1\r\n\r\n"), 400),
        (chunked(end=b"0\r\na: b\nc: d\r\n\r\n"), 400),
        (chunked(end=b"1;" + b"x" * 300), 400),
        (chunked(end=b"fffffffff\r\n"), 400),
        (chunked(b"x" * 600, end=b"191\r\n"), 413),
        (chunked(end=b"0\r\n" + b"a: b\r\n" * 1500 + b"\r\n"), 431),
    ],
)
def test_given_bytes_that_are_no_request_of_ours_then_they_are_refused_and_nothing_is_asked(
    caller: Caller, data: bytes, status: int
) -> None:
    assert caller.send(data) == b"<%d>" % status
    assert caller.desk.asked == []
    assert caller.wire.ended == "half"
    assert caller.send(post(b"smuggled")) == b""


def test_given_a_refused_caller_who_goes_on_sending_then_he_is_cut_off_in_the_end(caller: Caller) -> None:
    caller.send(b"nonsense\r\n\r\n")

    for _ in range(9):
        assert caller.wire.ended == "half"
        caller.send(b"x" * 1024 * 1024)

    assert caller.wire.ended == "aborted"


def test_given_a_body_that_is_held_back_then_it_is_asked_for_once(caller: Caller) -> None:
    whole = post(b"body", b"Expect: 100-continue")

    assert caller.send(whole[:-4]) == connection.CONTINUE
    assert caller.send(whole[-4:-2]) == b""
    assert caller.send(whole[-2:]) == b"<body>"
    assert caller.send(whole) == b"<body>"


def test_given_too_large_a_body_that_is_held_back_then_it_is_not_asked_for(caller: Caller) -> None:
    assert caller.send(post(b"x" * 1001, b"Expect: 100-continue")[:-1001]) == b"<413>"


@pytest.mark.parametrize(
    ("data", "answer", "ended"),
    [
        (post(b"x", b"Connection: close"), b"<x last>", "closed"),
        (b"GET /g HTTP/1.0\r\n\r\n", b"</g last>", "closed"),
        (b"GET /g HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"</g>", ""),
        (b"GET /g HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"</g last>", "closed"),
        (GET, b"</g>", ""),
        (b"GET /g HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"</g>", ""),
        (b"GET http://a/g HTTP/1.1\r\nHost: a\r\n\r\n", b"</g>", ""),
    ],
)
def test_given_what_a_caller_says_of_the_connection_then_it_lasts_as_long(
    caller: Caller, data: bytes, answer: bytes, ended: str
) -> None:
    assert caller.send(data) == answer
    assert caller.wire.ended == ended


def test_given_a_request_after_the_last_then_it_is_not_answered(caller: Caller) -> None:
    assert caller.send(post(b"x", b"Connection: close") + GET) == b"<x last>"


@pytest.mark.parametrize("begun", [GET[:-1], post(b"body")[:-1], chunked(b"x", end=b"")])
def test_given_a_caller_who_is_too_slow_then_he_is_told_so(caller: Caller, begun: bytes) -> None:
    caller.send(begun)

    assert caller.wait(connection.REQUEST_SECONDS) == ""
    assert caller.wait(1) == "half"
    assert caller.wire.sent == b"<408>"
    assert caller.wait(connection.REQUEST_SECONDS + 1) == "aborted"


def test_given_a_caller_who_sends_a_byte_now_and_then_then_he_is_too_slow_all_the_same(
    caller: Caller,
) -> None:
    for letter in GET[:-1]:
        caller.send(bytes([letter]))
        caller.wait(1)

    assert caller.wire.sent == b"<408>"


def test_given_a_silent_caller_then_the_connection_ends_without_a_word(caller: Caller) -> None:
    caller.send(GET)

    assert caller.wait(connection.IDLE_SECONDS) == ""
    assert caller.wait(1) == "closed"
    assert caller.wire.sent == b"</g>"


@pytest.mark.parametrize("line", [b"", b"Connection: close\r\n"])
def test_given_a_caller_who_leaves_a_small_answer_unfetched_then_he_is_cut_off(
    caller: Caller, line: bytes
) -> None:
    caller.send(b"GET /g HTTP/1.1\r\n%b%b\r\n" % (HOST, line))
    caller.wire.unsent = 10

    assert caller.wait(connection.IDLE_SECONDS) != "aborted"
    assert caller.wait(1) == "aborted"


def test_given_a_request_that_the_system_holds_already_then_an_idle_connection_stays(caller: Caller) -> None:
    caller.wire.theirs.sendall(GET)

    caller.connection.leave()
    assert caller.wire.ended == ""
    caller.wire._ours.recv(1000)
    caller.connection.leave()
    assert caller.wire.ended == "closed"


def test_given_a_caller_who_does_not_fetch_his_answers_then_no_more_are_made(caller: Caller) -> None:
    caller.send(GET)
    caller.connection.pause_writing()

    assert caller.send(post(b"x") + post(b"y")) == b""
    assert not caller.wire.reading
    caller.connection.resume_writing()
    assert caller.wire.sent == b"</g><x><y>"
    assert caller.wire.reading


def test_given_chunks_that_come_while_answers_wait_then_they_are_read_later(caller: Caller) -> None:
    whole = chunked(b"two", b"three")
    caller.send(whole[:-20])
    caller.connection.pause_writing()
    caller.send(whole[-20:-10])
    caller.send(whole[-10:] + GET)

    caller.connection.resume_writing()

    assert caller.wire.sent == b"<twothree></g>"


def test_given_very_many_requests_at_once_then_each_is_answered(caller: Caller) -> None:
    caller.send(chunked(b"x") * 3000)

    assert caller.wire.sent == b"<x>" * 3000


def test_given_as_many_callers_as_may_be_then_the_next_is_told_to_come_again(caller: Caller) -> None:
    caller.all.most = 1
    wire = Wire()
    Connection(caller.all).connection_made(wire)  # type: ignore[arg-type]
    wire.forget()

    assert (wire.sent, wire.ended) == (b"<503>", "half")


def another(caller: Caller) -> Caller:
    """Whoever comes to the same server."""
    made = Caller()
    made.wire.forget()
    made.wire, made.all = Wire(), caller.all
    made.connection = Connection(caller.all)
    made.connection.connection_made(made.wire)  # type: ignore[arg-type]
    made.wire.forget()
    return made


@pytest.mark.parametrize("begun", [post(b"x" * 900)[:-1], chunked(b"x" * 900, end=b"")])
def test_given_more_of_requests_than_is_held_then_the_last_is_told_to_come_again(
    caller: Caller, begun: bytes
) -> None:
    caller.all.most_held = 1500
    second, third = another(caller), another(caller)

    assert caller.send(begun) == b""
    assert second.send(begun) == b"<503>"
    assert third.send(GET) == b"</g>"
    assert second.wire.ended == "half"

    caller.connection.connection_lost(None)
    assert third.send(begun) == b""
    third.send(begun[-1:] if begun.startswith(b"POST /p") else b"0\r\n\r\n")
    assert third.wire.sent == b"</g><%b>" % (b"x" * 900)
    assert caller.all.held == 0


def leave_unfetched(caller: Caller, size: int) -> None:
    """Fetch nothing of an answer of ``size`` bytes."""
    caller.wire.unsent = size
    caller.connection.pause_writing()


def test_given_more_of_answers_than_is_held_then_who_has_fetched_nothing_for_longest_is_cut_off(
    caller: Caller,
) -> None:
    caller.all.most_unfetched = 250
    second, third, fourth = (another(caller) for _ in range(3))
    for each in (caller, second, third):
        leave_unfetched(each, 100)
    assert [each.wire.ended for each in (caller, second, third)] == ["aborted", "", ""]
    assert caller.all.unfetched == 200

    second.connection.resume_writing()
    leave_unfetched(fourth, 150)
    assert [each.wire.ended for each in (second, third, fourth)] == ["", "", ""]
    caller.connection.connection_lost(None)
    fourth.connection.connection_lost(None)
    assert caller.all.unfetched == 100
    third.connection.resume_writing()
    assert caller.all.unfetched == 0


class Generous(Desk):
    """Answers with far more than any system's buffers hold."""

    def answer(self, head: Head, body: bytes, *, last: bool) -> bytes:
        return bytes(8_000_000)


async def unfetched_of(callers: int) -> tuple[int, int]:
    """What is held of the answers of so many callers who fetch nothing, and how many of them are left."""
    loop = asyncio.get_running_loop()
    every = Connections(Generous(), loop.time)
    every.most_unfetched = 20_000_000
    server = await loop.create_server(lambda: Connection(every), "127.0.0.1", 0)
    reached = [
        await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1) for _ in range(callers)
    ]
    for _, writer in reached:
        writer.write(GET)
    for _ in range(200):
        await asyncio.sleep(0.005)
        if len(every) < callers:
            break
    await asyncio.sleep(0.05)
    held, left = every.unfetched, len(every)
    for _, writer in reached:
        writer.transport.abort()
    server.close()
    await server.wait_closed()
    return held, left


def test_given_real_callers_who_fetch_nothing_then_no_more_than_the_most_is_held_for_them() -> None:
    held, left = uvloop.run(unfetched_of(8))
    assert 0 < held <= 20_000_000
    assert 1 <= left < 8


def test_given_a_connection_then_its_own_buffer_is_smaller_than_what_all_may_hold_together(
    caller: Caller,
) -> None:
    assert 0 < caller.wire.high == connection.BUFFERED_BYTES < connection.UNFETCHED_BYTES


def test_given_far_more_callers_than_may_be_then_the_last_are_cut_off_at_once(caller: Caller) -> None:
    caller.all.most = 1
    wires = [Wire() for _ in range(connection.TOLD_OFF + 1)]
    for wire in wires:
        Connection(caller.all).connection_made(wire)  # type: ignore[arg-type]
        wire.forget()

    assert {wire.ended for wire in wires[:-1]} == {"half"}
    assert (wires[-1].sent, wires[-1].ended) == (b"", "aborted")


def test_given_a_caller_who_never_fetches_his_answers_then_he_is_cut_off(caller: Caller) -> None:
    caller.connection.pause_writing()

    assert caller.wait(connection.REQUEST_SECONDS) == ""
    assert caller.wait(1) == "aborted"


@given(
    at=st.integers(0, len(STREAM)),
    cut=st.integers(0, 12),
    put=st.binary(max_size=12),
    sizes=st.lists(st.integers(1, 80), min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None)
def test_given_a_flaw_anywhere_then_requests_before_it_are_answered_and_nothing_else_breaks(
    at: int, cut: int, put: bytes, sizes: list[int]
) -> None:
    """However the bytes come in pieces, what is answered is the same."""
    flawed = STREAM[:at] + put + STREAM[at + cut :]
    whole, pieces = Caller(), Caller()
    whole.send(flawed)
    place = 0
    for size in cycle(sizes):
        pieces.send(flawed[place : place + size])
        place += size
        if place >= len(flawed):
            break

    assert pieces.wire.sent == whole.wire.sent
    assert pieces.desk.asked == whole.desk.asked
    for each in (whole, pieces):
        each.wire.forget()
