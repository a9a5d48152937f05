"""Several processes on one port: their counts are one, and so is their end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from server.workers import Board

from .running import ROOT, Running, running

CALLS = 30
COUNT = b'millrace_requests_total{route="/health",status="200"} '


def counted(server: Running) -> int:
    text = server.call("GET", "/metrics")[1]
    return int(text.partition(COUNT)[2].partition(b"\n")[0] or 0)


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def await_loops(pids: list[int]) -> None:
    """Wait until each process handles SIGTERM itself: its loop is there, with every file it needs."""
    until = time.monotonic() + 10
    while not all(handles(pid, signal.SIGTERM) for pid in pids):
        assert time.monotonic() < until, f"of {pids} one has no loop yet"
        time.sleep(0.01)


def handles(pid: int, signum: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)


def test_given_counts_of_two_then_any_tells_their_sum() -> None:
    board = Board(3)
    board.write(0, {"a": 1, "b": 0.5})
    board.write(2, {"a": 2})
    board.write(2, {"a": 3, "c": 1})

    assert board.total() == {"a": 4, "b": 0.5, "c": 1}


def test_given_two_workers_then_each_tells_what_all_have_counted_and_they_end_together(folder: Path) -> None:
    with running(str(folder), "--workers", "2") as server:
        server.wait_for("listening")
        assert len(children(server.process.pid)) == 2
        for _ in range(CALLS):
            assert server.call("GET", "/health")[0].status == 200
        until = time.monotonic() + 5
        while counted(server) < CALLS and time.monotonic() < until:
            time.sleep(0.1)

        assert {counted(server) for _ in range(8)} == {CALLS}
        assert server.end() == 0
        assert [line["message"] for line in server.lines].count("ended") == 2


def test_given_a_second_that_went_wrong_then_the_next_is_counted_and_swept_all_the_same(folder: Path) -> None:
    """A worker tells its counts every second, for which it opens files: too many callers leave it none."""
    with running(str(folder), "--workers", "2") as server:
        server.wait_for("listening")
        workers = children(server.process.pid)
        await_loops(workers)
        for worker in workers:
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (4, 4))
        assert server.wait_for("unexpected error")["error"] == "OSError"
        server.process.kill()

        assert server.wait_for("ended")
        assert server.wait_for("ended")


def test_given_a_worker_that_dies_then_the_others_end_and_the_process_says_so(folder: Path) -> None:
    with running(str(folder), "--workers", "2") as server:
        server.wait_for("listening")
        os.kill(children(server.process.pid)[0], signal.SIGKILL)

        assert server.process.wait(10) == 1
        assert server.wait_for("a worker has ended by itself")["status"] == -signal.SIGKILL


EARLY = """
import os, signal, sys
from server.log import Log
from server.settings import Settings
from server.workers import supervise
fork = os.fork
def told_as_it_forks():
    os.kill(os.getpid(), signal.SIGTERM)
    return fork()
os.fork = told_as_it_forks
sys.exit(supervise(Settings(bundle=sys.argv[1], port=0, workers=3), Log()))
"""


def test_given_a_process_told_to_end_as_it_begins_then_no_worker_stays(folder: Path) -> None:
    command = [sys.executable, "-c", EARLY, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE) as process:
        try:
            said, _ = process.communicate(timeout=20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    assert (process.returncode, said) == (0, b"")


def test_given_a_process_that_is_killed_then_its_workers_end_too(folder: Path) -> None:
    with running(str(folder), "--workers", "2") as server:
        server.wait_for("listening")
        server.process.kill()

        assert server.wait_for("ended")
        assert server.wait_for("ended")
