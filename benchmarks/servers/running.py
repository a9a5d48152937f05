"""A peer while it runs: started on a core of its own, asked until it answers, ended with all its children."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import processes
from benchmarks.servers.install import STILL, last_line, step
from benchmarks.servers.load import LoadError, once
from benchmarks.servers.peer import ROOT, Peer, PeerError
from benchmarks.servers.processes import Process
from benchmarks.servers.progress import say
from benchmarks.servers.requests import Asked

TO_START, TO_END = 90.0, 4.0
"""Seconds that a peer may take until its first answer, and to end once it is told to."""
PAUSE = 0.005
_OUR_FAULT = (400, 405, 415, 422)
"""Answers that no waiting will change; a 404 or a 500 may be a start's."""
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A peer that answers. ``started`` is the seconds from its start to its first answer."""

    pid: int
    port: int
    started: float


@contextmanager
def running(peer: Peer, bundle: Path, model: str, asked: Asked, core: int) -> Iterator[Running]:
    """Start ``peer`` on ``core``, wait until it answers ``asked``; end it afterwards. Raises PeerError."""
    peer.scratch.mkdir(parents=True, exist_ok=True)
    names = _names(peer, bundle, model)
    log = peer.scratch / "server.log"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, log.open("w") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [word.format_map(names) for word in peer.command],
            cwd=ROOT,
            env={**_environment(peer, names), "TMPDIR": temporary},
            stdout=output,
            stderr=output,
            preexec_fn=_settle(core),  # noqa: PLW1509 - this process has one thread
        )
        try:
            port = int(names["port"])
            _wait(peer, process, port, asked, log)
            yield Running(pid=process.pid, port=port, started=time.monotonic() - began)
        finally:
            _end(process)


def prepare(peer: Peer, bundle: Path, model: str) -> None:
    """Do what must be done once before the peer's first start. Raises PeerError."""
    if peer.prepare:
        peer.scratch.mkdir(parents=True, exist_ok=True)
        names = _names(peer, bundle, model)
        command = [word.format_map(names) for word in peer.prepare]
        step(peer, command, peer.scratch / "prepare.log", _environment(peer, names))


def _names(peer: Peer, bundle: Path, model: str) -> dict[str, str]:
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    return {
        **dict(zip(("port", "spare", "spare2", "spare3", "spare4"), map(str, _free_ports(5)), strict=True)),
        "bin": str(peer.environment / "bin"),
        "site": str(peer.environment / packages),
        "bundle": str(bundle.resolve()),
        "folder": str(peer.scratch),
        "model": model,
    }


def _environment(peer: Peer, names: Mapping[str, str]) -> dict[str, str]:
    """What the peer finds in its environment: nothing of ours, its own programs first."""
    own = {name: value.format_map(names) for name, value in peer.variables.items()}
    return {
        "LANG": "C.UTF-8",
        "HOME": names["folder"],  # what they write there should not outlive .millrace
        "PATH": f"{names['bin']}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "1",
        "BUNDLE": names["bundle"],
        "PORT": names["port"],
        "FOLDER": names["folder"],
        **own,
    }


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _settle(core: int) -> Callable[[], None]:
    """Return what the new process does first: keep to ``core``, and stay the parent of its orphans.

    Without the latter a server's daemon would leave its tree, and its processor time with it.
    """
    prctl = ctypes.CDLL(None).prctl

    def settle() -> None:
        os.sched_setaffinity(0, {core})
        prctl(_SUBREAPER, 1, 0, 0, 0)

    return settle


def _wait(peer: Peer, process: subprocess.Popen[bytes], port: int, asked: Asked, log: Path) -> None:
    """Ask until the first right answer."""
    began = said = time.monotonic()
    problem = "nobody listens"
    while time.monotonic() - began < TO_START:
        if process.poll() is not None:
            raise PeerError(f"it ended with {process.returncode}: {last_line(log)}")
        try:
            asked.check(once(port, asked.request, STILL))
            return
        except (OSError, LoadError) as error:
            problem = str(error)
            if isinstance(error, LoadError) and error.status in _OUR_FAULT:
                raise PeerError(problem) from error
        if time.monotonic() - said > STILL:
            said = time.monotonic()
            say(f"{peer.name}: still starting, {said - began:.0f} s: {problem[:150]}")
        time.sleep(PAUSE)
    raise PeerError(f"no answer within {TO_START:g} s: {problem}; its log ends: {last_line(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and whatever of its descendants is still there after it."""
    family = processes.tree(process.pid, processes.processes())
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(TO_END)
    process.kill()
    process.wait()
    for one in _left(family):
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    deadline = time.monotonic() + TO_END
    while _left(family) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _left(family: list[Process]) -> list[Process]:
    """Return those of ``family`` that live on; a process of the same id that started later is another."""
    now = processes.processes()
    return [one for one in family if one.pid in now and now[one.pid].lives_on(one)]
