"""The server as a process: how it starts, what it holds, what becomes of callers when it ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from functions.predict.core import Core
from tests.functions.tiny_bundle import PARCEL, Tiny, make_bundle

from .running import Running, running, started

BODY = json.dumps({"records": [PARCEL]}).encode()
PREDICT = "/v1/models/parcels/predict"
HEADERS = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
REQUEST = f"POST {PREDICT} HTTP/1.1\r\n{HEADERS}\r\n".encode() + BODY
EDGE_MEGABYTES = 120
FLIGHTS_LIMIT = 1000


class Caller:
    """A connection that lasts, as a client holds it."""

    def __init__(self, server: Running) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """Read one whole answer and return its head; b"" where the connection has ended instead."""
        head = b""
        while (line := self._answers.readline()) not in (b"\r\n", b""):
            head += line
        length = head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
        assert len(self._answers.read(int(length or 0))) == int(length or 0)
        return head

    def ask(self) -> bytes:
        """Send a request and read its answer."""
        self.send(REQUEST)
        return self.answer()


def test_given_a_bundle_then_the_process_answers_over_http(server: Running, folder: Path) -> None:
    response, body = server.call("POST", PREDICT, BODY, **{"Content-Type": "application/json"})

    assert response.status == 200
    core = Core.open(folder)
    assert core.predictor is not None
    expected = core.predictor.predict(core.predictor.json, BODY, json.dumps(response.headers["x-request-id"]))
    assert body.decode() == expected.body


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["{empty}"], "1: holds no manifest.json"),
        (["{empty}/none.zip"], "1: holds no manifest.json"),
        (["{broken}"], "1: its SHA-256 is not the manifest's"),
        (["{good}", "--port", "{taken}"], "1: name another with --host or --port"),
        (["{good}", "--port", "many"], "2: --port is `many`"),
        (["{good}", "--workers", "0"], "2: --workers is `0`"),
        ([], "2: no bundle is named"),
    ],
)
def test_given_what_cannot_be_served_then_the_process_says_why_and_ends(
    tmp_path: Path, folder: Path, server: Running, arguments: list[str], problem: str
) -> None:
    broken = make_bundle(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"other")
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty", "broken": broken, "good": folder, "taken": server.port}

    done = started(*[each.format(**places) for each in arguments])

    status, _, problem = problem.partition(": ")
    assert done.returncode == int(status)
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["level"] == "ERROR"
    assert problem in line["problem"]
    assert done.stderr == ""


def call_until_it_ends(server: Running, lost: list[str], answered: list[int]) -> None:
    """Ask without a pause; note what was sent and not answered, and how often all went well."""
    count = 0
    while True:
        try:
            caller = Caller(server)
        except OSError:
            break  # nobody listens any more
        with caller:
            head = b"HTTP/1.1 200"
            while b"Connection: close" not in head:
                try:
                    head = caller.ask()
                except OSError as error:
                    head = str(error).encode()
                if not head.startswith(b"HTTP/1.1 200"):
                    lost.append(f"after {count}: {head!r}")
                    return
                count += 1
    answered.append(count)


def test_given_callers_who_never_pause_when_it_ends_then_every_whole_request_is_answered(
    folder: Path,
) -> None:
    lost: list[str] = []
    answered: list[int] = []
    with running(str(folder)) as server:
        callers = [
            threading.Thread(target=call_until_it_ends, args=(server, lost, answered)) for _ in range(6)
        ]
        for caller in callers:
            caller.start()
        time.sleep(0.3)
        assert server.end() == 0
        for caller in callers:
            caller.join(10)

    assert lost == []
    assert len(answered) == 6
    assert min(answered) > 0
    assert [line["message"] for line in server.lines if line["level"] == "INFO"] == [
        "listening",
        "ending",
        "ended",
    ]


def test_given_requests_at_every_stage_when_it_ends_then_those_that_were_sent_are_answered(
    folder: Path,
) -> None:
    with (
        running(str(folder)) as server,
        Caller(server) as idle,
        Caller(server) as slow,
        Caller(server) as pipelined,
    ):
        assert b" 200 " in idle.ask()
        slow.send(REQUEST[:-10])
        pipelined.send(REQUEST[:-10])
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("ending")

        pipelined.send(REQUEST[-10:] + REQUEST + REQUEST)
        answers = [pipelined.answer() for _ in range(3)]
        assert idle.answer() == b""
        slow.send(REQUEST[-10:])
        answers.append(slow.answer())

        assert all(b" 200 " in head for head in answers)
        assert [b"Connection: close" in head for head in answers] == [False, False, True, True]
        assert server.process.wait(10) == 0


def test_given_no_bundle_when_one_is_waited_for_then_it_is_served_once_it_is_there(tmp_path: Path) -> None:
    with running(str(tmp_path), MILLRACE_POLL_SECONDS="0.05", MILLRACE_WORKLOAD="parcels") as server:
        assert server.call("GET", "/ping")[0].status == 503

        make_bundle(tmp_path / "made", Tiny(version="run-2"))
        for name in ("model.onnx", "manifest.json"):
            (tmp_path / "made" / name).rename(tmp_path / name)

        assert server.wait_for("bundle taken over")["version"] == "run-2"
        assert server.call("GET", "/ping")[0].status == 200


def test_given_newer_bundles_while_callers_ask_then_the_sound_serve_and_the_broken_do_not(
    tmp_path: Path,
) -> None:
    folder = make_bundle(tmp_path / "bundle")
    sound = make_bundle(tmp_path / "sound", Tiny(version="run-2"))
    broken = make_bundle(tmp_path / "broken", Tiny(version="run-3", bias=3.0))
    with running(str(folder), "--poll-seconds", "0.05") as server, Caller(server) as caller:

        def version() -> bytes:
            head = caller.ask()
            assert b" 200 " in head
            return head.partition(b"x-millrace-version: ")[2].partition(b"\r\n")[0]

        assert version() == b"run-1"
        (sound / "manifest.json").rename(folder / "manifest.json")
        server.wait_for("bundle taken over")
        assert version() == b"run-2"
        (broken / "manifest.json").rename(folder / "manifest.json")
        server.wait_for("bundle refused")
        assert version() == b"run-2"
        assert b"\nmillrace_bundle_refused_total 1\n" in server.call("GET", "/metrics")[1]


def test_given_a_model_as_large_as_flights_then_one_process_fits_the_edge(tmp_path: Path) -> None:
    """Memory after requests of every form, the largest that are taken among them."""
    limits = {"records": FLIGHTS_LIMIT, "body_bytes": 1_000_000}
    folder = make_bundle(tmp_path, Tiny(limits=limits))
    many = json.dumps({"records": [PARCEL] * FLIGHTS_LIMIT}).encode()
    with running(str(folder)) as server:
        for body in (BODY, many) * 3:
            assert server.call("POST", "/invocations", body)[0].status == 200
        metrics = server.call("GET", "/metrics")[1].decode()

    resident = float(metrics.partition("\nprocess_resident_memory_bytes ")[2].partition("\n")[0])
    assert 10 < resident / 2**20 <= EDGE_MEGABYTES
