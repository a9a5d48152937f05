"""Hosts of a training job on this machine: SageMaker's folders, and the launcher as its container runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from local.executors.container import free_port
from tests.training.parcels import Run, write_json

ROOT = Path(__file__).parents[2]
LIMIT = 300  # seconds that no run of these tests comes near


def host_folder(base: Path, run: Run, hosts: list[str], current: str, **hyperparameters: str) -> Path:
    """Lays out ``/opt/ml`` of host ``current`` below ``base``."""
    config = {"current_host": current, "hosts": hosts, "network_interface_name": "lo"}
    write_json(base / "input/config/resourceconfig.json", config)
    given = {"workload": str(run.workload), "run": "r1", **hyperparameters}
    write_json(base / "input/config/hyperparameters.json", given)
    data = base / "input/data"
    if not data.exists():
        data.mkdir(parents=True)
        (data / "examples").symlink_to(run.examples)
        (data / "reports").symlink_to(run.reports)
    return base


def start(bases: list[Path]) -> list[subprocess.Popen[str]]:
    """Starts the launcher of every host; they meet on a port of their own."""
    port = str(free_port())
    return [
        subprocess.Popen(
            [sys.executable, "-m", "training.train.launch"],
            cwd=ROOT,
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "MASTER_PORT": port, "PYTHONUNBUFFERED": "1"},
            stdout=(base / "log").open("a"),
            stderr=subprocess.STDOUT,
            text=True,
        )
        for base in bases
    ]


def finish(processes: list[subprocess.Popen[str]]) -> list[int]:
    """Waits for the launchers and returns their exit statuses; leaves none behind that takes too long."""
    try:
        return [process.wait(timeout=LIMIT) for process in processes]
    except subprocess.TimeoutExpired:
        kill([process for process in processes if process.poll() is None])
        raise


def train(bases: list[Path]) -> list[int]:
    try:
        return finish(start(bases))
    except subprocess.TimeoutExpired as error:
        logs = [f"{base.name}:\n{(base / 'log').read_text()[-3000:]}" for base in bases]
        raise AssertionError("\n".join([f"no end after {LIMIT} s", *logs])) from error


def kill(processes: list[subprocess.Popen[str]]) -> None:
    """Kills launchers and their workers at once, as a host does that is taken away."""
    for pid in [pid for process in processes for pid in (process.pid, *children(process.pid))]:
        os.kill(pid, signal.SIGKILL)
    for process in processes:
        process.wait(timeout=LIMIT)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [descendant for child in map(int, listed) for descendant in (child, *children(child))]


@contextlib.contextmanager
def running(bases: list[Path]) -> Iterator[list[subprocess.Popen[str]]]:
    """Yields the launchers of ``bases``, and leaves none of them running."""
    processes = start(bases)
    try:
        yield processes
    finally:
        kill([process for process in processes if process.poll() is None])


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def result(base: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((base / "model/model.json").read_text())
    return document
