"""The load generator against a small server of this test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.servers.http import post
from benchmarks.servers.load import LoadError, drive, once, percentile


class Echo(BaseHTTPRequestHandler):
    """Answers with the body it got; its status is the path."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, int]] = []  # noqa: RUF012 - the test's

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, self.client_address[1]))
        if self.path == "/0":
            self.close_connection = True
            return
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        Echo.seen.clear()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("connections", [1, 3])
def test_every_request_that_was_sent_is_answered_and_has_a_latency(port: int, connections: int) -> None:
    load = drive(port, post("/200", b"x" * 50_000, {}), connections, 0.05)
    assert len(load.latencies) == len(Echo.seen) >= connections
    assert len({client for _, client in Echo.seen}) == connections
    assert all(0 < latency <= load.seconds for latency in load.latencies)
    assert load.rate == pytest.approx(len(load.latencies) / load.seconds)


def test_one_request_gives_its_answer(port: int) -> None:
    assert once(port, post("/200", b"hello", {})) == b"hello"


def test_an_answer_that_is_no_200_ends_the_load_with_what_it_said(port: int) -> None:
    with pytest.raises(LoadError, match="answered 503: not yet"):
        drive(port, post("/503", b"not yet", {}), 1, 0.05)


def test_a_connection_that_is_closed_without_an_answer_is_told(port: int) -> None:
    with pytest.raises(LoadError, match="closed a connection before it answered"):
        once(port, post("/0", b"", {}))


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100), (0, 1)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_of_few_values_a_high_percentile_is_the_largest() -> None:
    assert percentile([3.0, 1.0], 0.95) == 3


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
