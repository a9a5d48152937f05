"""The peers: pinned, each in a place of its own, measured in rounds that a failing one does not end."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.servers import measure
from benchmarks.servers.__main__ import chosen, newest
from benchmarks.servers.install import step
from benchmarks.servers.measure import PAIRS, Found, Plan, order
from benchmarks.servers.peer import MILLRACE_SERVER, PEERS, RAW, Peer, PeerError
from benchmarks.servers.processes import processes
from benchmarks.servers.requests import Asked, records_to
from benchmarks.servers.running import running

OTHERS = [peer for peer in PEERS if peer not in (MILLRACE_SERVER, RAW)]


@pytest.mark.parametrize("peer", [RAW, *OTHERS], ids=lambda peer: peer.key)
def test_every_package_of_a_peer_is_pinned(peer: Peer) -> None:
    lines = [line for line in peer.requirements.read_text().splitlines() if not line.startswith("#")]
    assert lines
    assert all(re.fullmatch(r"[\w.-]+(\[\w+])?==[\w.+-]+", line) for line in lines)
    assert re.fullmatch(rf"{re.escape(peer.name)}(, uvicorn)? \d[\w.]*", peer.title)


def test_peers_have_places_of_their_own() -> None:
    places = [place for peer in PEERS for place in (peer.environment, peer.scratch)]
    assert len(set(places)) == len(places)


def test_the_two_of_a_pair_follow_each_other_and_all_others_come_once() -> None:
    visits = order(PEERS, 0)
    assert sorted(peer.key for peer, pair in visits if pair is None) == sorted(peer.key for peer in OTHERS)
    for pair in range(PAIRS):
        places = [place for place, (_, found) in enumerate(visits) if found == pair]
        assert places[1] == places[0] + 1
        assert {visits[place][0].key for place in places} == {"millrace", "raw_asgi"}


def test_a_rounds_order_is_its_own_and_always_the_same() -> None:
    assert order(PEERS, 1) == order(PEERS, 1)
    assert order(PEERS, 1) != order(PEERS, 2)


def test_a_peer_that_fails_is_noted_and_left_out_while_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken, starts = OTHERS[0], []

    def start(peer: Peer, plan: Plan, number: int, pair: int | None) -> measure.Turn:
        starts.append(peer.key)
        if peer is broken:
            raise PeerError("its last words")
        return measure.Turn(round=number, pair=pair, started=1, memory=1, samples={})

    monkeypatch.setattr(measure, "install", lambda peer: None)
    monkeypatch.setattr(measure, "turn", start)
    plan = Plan(bundle=tmp_path, model="m", rows={}, seconds=1, core=0)
    found = measure.measure([broken, RAW], plan, 2)
    assert found.errors == {broken.key: "its last words"}
    assert starts.count(broken.key) == 1
    assert len(found.turns[RAW.key]) == 2 * PAIRS


def test_what_no_peer_is_called_is_refused() -> None:
    assert chosen(["raw_asgi"]) == [RAW]
    with pytest.raises(SystemExit, match="no peer is called nginx; there are millrace, raw_asgi"):
        chosen(["nginx"])


def test_the_newest_bundle_is_taken(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run `make demo`"):
        newest(tmp_path)
    for age, run in ((200, "b"), (100, "a")):
        file = tmp_path / "0" / "models" / "flights" / "runs" / run / "bundle" / "manifest.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        os.utime(file, (age, age))
    assert newest(tmp_path).parent.name == "b"


def test_a_step_that_fails_says_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"^no such package$"):
        step(RAW, [sys.executable, "-Sc", "print('no such package\\n'); raise SystemExit(1)"], tmp_path / "x")


SERVER = """
import http.server, os, subprocess, sys
subprocess.Popen([sys.executable, "-Sc", "import time; time.sleep(60)"], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"probabilities": [0.5]}'
        self.send_response(int(os.environ["STATUS"]))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def toy(status: int, code: str = SERVER, **variables: str) -> Peer:
    """A peer that runs ``code`` on this Python."""
    command = (sys.executable, "-c", "import os; exec(os.environ['CODE'])")
    dialect = records_to("/predict")
    return Peer(
        key="toy",
        name="Toy",
        command=command,
        json=dialect,
        variables={"STATUS": str(status), "CODE": code.replace("{", "{{").replace("}", "}}"), **variables},
    )


def asked(peer: Peer, expected: float = 0.5) -> Asked:
    return Asked(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", peer.json.read, [expected])


@pytest.fixture(autouse=True)
def _scratch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.servers.peer.ENVIRONMENTS", tmp_path)
    monkeypatch.setattr("benchmarks.servers.running.TO_START", 20.0)


def test_a_peer_runs_on_its_core_until_it_is_no_longer_needed_and_leaves_nobody_behind(
    tmp_path: Path,
) -> None:
    core = min(os.sched_getaffinity(0))
    with running(toy(200), tmp_path, "m", asked(toy(200)), core) as server:
        family = [one.pid for one in processes().values() if server.pid in (one.pid, one.parent)]
        assert len(family) == 2
        assert all(os.sched_getaffinity(pid) == {core} for pid in family)
        assert server.started > 0
    assert not [pid for pid, process in processes().items() if pid in family and not process.dead]


def test_a_peer_that_ends_at_once_says_why(tmp_path: Path) -> None:
    peer = toy(200, "raise SystemExit('there is no such model')")
    with (
        pytest.raises(PeerError, match="it ended with 1: there is no such model"),
        running(peer, tmp_path, "m", asked(peer), 0),
    ):
        pass


def test_a_peer_that_refuses_the_request_is_not_waited_for(tmp_path: Path) -> None:
    peer = toy(422)
    with pytest.raises(PeerError, match="answered 422"), running(peer, tmp_path, "m", asked(peer), 0):
        pass


def test_a_failure_is_noted_for_its_peer() -> None:
    found = Found()
    with found.guard(replace(RAW, name="Raw")):
        raise OSError("no more files")
    assert found.errors == {"raw_asgi": "no more files"}
