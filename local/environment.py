"""Start and end the environment on this machine.

An environment is one process, the emulator, that listens on 127.0.0.1 and keeps everything under
``.millrace/<env>/``. It is wiped when it is started, unless that is asked to keep it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from infra import settings
from local.executors import process
from local.limits import limits

__all__ = ["LocalError", "Running", "end_leftovers", "find", "folder", "healthy", "limits", "start", "stop"]

REPOSITORY = Path(__file__).parents[1]
START_SECONDS = 120.0
STOP_SECONDS = 25.0


class LocalError(RuntimeError):
    """The local environment cannot do what was asked: what was wrong, and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """An emulator that runs."""

    env: str
    pid: int
    port: int
    root: str
    """Folder that holds everything the environment keeps."""

    @property
    def endpoint(self) -> str:
        """The address for AWS clients, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The emulator's own log."""
        return Path(self.root) / "emulator.log"

    def environment(self) -> dict[str, str]:
        """Variables with which AWS clients, the CDK among them, reach this emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MILLRACE_PORT": str(self.port),
        }


def folder(env: str) -> Path:
    """Where the environment ``env`` keeps everything."""
    return REPOSITORY / ".millrace" / env


def find(env: str = "local", root: Path | None = None) -> Running | None:
    """The emulator of ``env`` if it runs."""
    file = (root or folder(env)) / "running.json"
    if not file.exists():
        return None
    running = Running(**json.loads(file.read_text()))
    return running if process.alive(running.pid) and _is_ours(running) else None


def _is_ours(running: Running) -> bool:
    """Whether the recorded process id still belongs to the emulator, not to a later process."""
    owned = process.marked(process.EMULATOR, running.root)
    return running.pid in owned or not Path("/proc/self").exists()


def start(
    env: str = "local",
    *,
    keep: bool = False,
    port: int | None = None,
    root: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Running:
    """Start the emulator of ``env``, or return the one that runs.

    ``keep`` keeps what an earlier one stored; otherwise its folder is emptied first. ``port`` and
    ``root`` are those of ``env`` unless given. ``progress`` takes a line every few seconds. Raises
    LocalError if the port is taken or the start fails.
    """
    root = root or folder(env)
    running = find(env, root)
    if running is not None:
        return running
    end_leftovers(root)
    number = port or settings.load(env).port
    if number is None:
        raise LocalError(f"{env} has no port in environments/{env}.toml: it is an environment on AWS")
    _check_port(number)
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(root / "jobs", ignore_errors=True)
    shutil.rmtree(root / "tmp", ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    running = _launch(env, number, root)
    _await_health(running, progress)
    return running


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise LocalError(
                f"port {port} on 127.0.0.1 is taken by another program; "
                "end it, or choose another port with the environment variable MILLRACE_PORT"
            )


def _launch(env: str, port: int, root: Path) -> Running:
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))},
        "MILLRACE_PORT": str(port),
        process.EMULATOR: str(root),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }
    with (root / "emulator.log").open("ab") as log:
        launched = subprocess.Popen(
            [sys.executable, "-m", "local.launcher"],
            cwd=REPOSITORY,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running(env=env, pid=launched.pid, port=port, root=str(root))
    (root / "running.json").write_text(json.dumps(asdict(running)))
    return running


def _await_health(running: Running, progress: Callable[[str], None]) -> None:
    began = told = time.monotonic()
    while not healthy(running):
        now = time.monotonic()
        if not process.alive(running.pid) or now - began > START_SECONDS:
            stop(running)
            lines = running.log.read_text(errors="replace").splitlines()[-15:]
            raise LocalError(
                "\n".join([f"the emulator did not start; its log ({running.log}) ends:", *lines])
            )
        if now - told > 3:
            progress(f"waiting for the emulator on {running.endpoint} ({now - began:.0f} s)")
            told = now
        time.sleep(0.1)


def healthy(running: Running) -> bool:
    """Whether the emulator answers."""
    try:
        with urllib.request.urlopen(f"{running.endpoint}/_ministack/health", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop(running: Running) -> None:
    """End an emulator and everything it started; what it stores is saved first.

    It is asked first and killed, by its process id, if it has not ended after a while.
    """
    process.end([running.pid], grace=STOP_SECONDS)
    end_leftovers(Path(running.root))
    _reap(running.pid)
    shutil.rmtree(Path(running.root) / "jobs", ignore_errors=True)
    shutil.rmtree(Path(running.root) / "tmp", ignore_errors=True)
    (Path(running.root) / "running.json").unlink(missing_ok=True)


def end_leftovers(root: Path) -> list[int]:
    """End every process of the emulator of ``root`` that is still there, and return their ids."""
    left = process.marked(process.EMULATOR, str(root))
    process.end(left)
    return left


def _reap(pid: int) -> None:
    """Collect the exit of an emulator that this very process started."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
