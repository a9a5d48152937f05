"""A virtual environment for each peer, made once and again whenever its requirements change."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import uv

from benchmarks.servers.peer import ROOT, Peer, PeerError
from benchmarks.servers.progress import say

STILL = 4.0
"""Seconds after which a step that says nothing is said to go on."""
TORCH = "torch=="
"""PyTorch comes by pip, which sees the builds that a machine prefers: see TORCH_FROM in the Makefile."""


def install(peer: Peer) -> None:
    """Make the peer's environment unless it is there as its requirements say. Raises PeerError."""
    if peer.ours:
        return
    wanted, ready = peer.requirements.read_text(), peer.environment / "ready"
    if ready.is_file() and ready.read_text() == wanted:
        return
    python = peer.environment / "bin" / "python"
    peer.scratch.mkdir(parents=True, exist_ok=True)
    for command in _commands(peer, wanted, python):
        step(peer, command, peer.scratch / "install.log")
    ready.write_text(wanted)


def _commands(peer: Peer, wanted: str, python: Path) -> list[list[str]]:
    program = uv.find_uv_bin()
    by_pip = [line for line in wanted.splitlines() if line.startswith(TORCH)]
    seed = ["--seed"] if by_pip else []
    made = [[program, "venv", "--clear", "--quiet", *seed, "--python", sys.executable, str(peer.environment)]]
    if by_pip:
        source = shlex.split(os.environ.get("TORCH_FROM", ""))
        made.append([str(python), "-m", "pip", "install", "--quiet", *source, *by_pip])
    listed = ["--compile-bytecode", "--no-deps", "-r", str(peer.requirements)]
    made.append([program, "pip", "install", "--quiet", "--python", str(python), *listed])
    return made


def step(peer: Peer, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run ``command`` in the repository, saying every few seconds that it goes on.

    Raises PeerError with the last line of ``log``, where it writes.
    """
    started = time.monotonic()
    say(f"{peer.name}: {' '.join(Path(word).name if '/' in word else word for word in command)}")
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=environment) as process,
    ):
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STILL)
                break
            say(f"{peer.name}: still at it, {time.monotonic() - started:.0f} s")
    if process.returncode:
        raise PeerError(last_line(log))


def last_line(log: Path) -> str:
    """Return the last line of ``log`` that says anything."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
