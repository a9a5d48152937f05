"""Starts functions as Lambda does, without Docker: Lambda's own runtime interface emulator and client.

The emulator ships as a binary inside the package aws-sam-cli, of which only that file is kept; the client is
awslambdaric. Both are fetched once, pinned, into ``.millrace/runtime``. What Lambda does before Python starts
(placing the sandbox, fetching code and layer) is not part of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import uv

from infra import bytecode
from infra.settings import ARCHITECTURES

ROOT = Path(__file__).parents[1]
EMULATOR = "aws-sam-cli==1.170.0"
CLIENT = ("awslambdaric==4.2.2", "simplejson==4.3.0", "snapshot-restore-py==1.0.0")
REPORT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)")
"""The line that tells how long the start took; the figure in the line REPORT is wrong."""
PATIENCE = 60
"""Seconds that a start or an answer may take at the least processor share."""


class StartError(RuntimeError):
    """A function did not start or answer: what it said."""


@dataclass(frozen=True)
class Tools:
    """The emulator's binary and the folder of the client's packages."""

    emulator: Path
    client: Path


def tools(cache: Path = ROOT / ".millrace" / "runtime") -> Tools:
    """Return emulator and client, fetched on first use. Raises StartError."""
    machine = ARCHITECTURES[os.uname().machine.lower()]
    found = Tools(cache / f"{EMULATOR}-{machine}", cache / "client")
    if not found.emulator.exists():
        with tempfile.TemporaryDirectory() as folder:
            install(Path(folder), EMULATOR)
            cache.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(folder) / f"samcli/local/rapid/aws-lambda-rie-{machine}", found.emulator)
        found.emulator.chmod(0o755)
    if not found.client.exists():
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            install(Path(folder) / "client", *CLIENT)
            compile_client(Path(folder) / "client")
            (Path(folder) / "client").rename(found.client)
    return found


def install(folder: Path, *pins: str) -> None:
    """Unpack the wheels of ``pins`` and of nothing else into ``folder``."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartError(f"{', '.join(pins)}: {done.stderr.strip()} Check the network.")


def compile_client(folder: Path) -> None:
    """Compile the client: Lambda's own copy of it is compiled too."""
    if compiler := bytecode.find(f"{sys.version_info.major}.{sys.version_info.minor}"):
        compiler.compile(folder, [path for path in folder.iterdir() if path.is_dir()])


@dataclass(frozen=True)
class Function:
    """A bundled function: the folder of its code, its handler, the folder above ``bundle``."""

    code: Path
    handler: str
    layer: Path
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A function behind the emulator, at ``port``. It starts with the first request."""

    port: int
    log: Path

    def invoke(self, event: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
        """Return the seconds that an invocation took and its answer; raise StartError without one."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        body = json.dumps(event)
        started = time.perf_counter()
        connection.request("POST", "/2015-03-31/functions/function/invocations", body)
        answer = json.loads(connection.getresponse().read())
        taken = time.perf_counter() - started
        connection.close()
        if answer.get("statusCode") != 200:
            raise StartError(f"answered {json.dumps(answer)[:400]}; {self.tail}")
        return taken, answer

    @property
    def start_ms(self) -> float:
        """Milliseconds from the runtime's process to its readiness, as the emulator reports them."""
        found = REPORT.search(self.log.read_text())
        if found is None:
            raise StartError(f"no INIT REPORT; {self.tail}")
        return float(found[1])

    @cached_property
    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text()[-2000:]


@contextmanager
def running(
    function: Function,
    memory_mb: int = 1769,
    within: tuple[str, ...] = (),
    around: tuple[str, ...] = (),
) -> Iterator[Running]:
    """Run ``function`` in a fresh process. Commands start it (``within``) and the emulator (``around``)."""
    found, (port, inner) = tools(), free_ports(2)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [*around, str(found.emulator)]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{inner}"]
        # Without the site packages of this machine's Python: Lambda's has others.
        command += [*within, python(), "-S", "-s", "-m", "awslambdaric", function.handler]
        with log.open("w") as output, stopped(command, environment(function, found, memory_mb), output):
            wait_for(port, log)
            yield Running(port, log)


def python() -> str:
    """The interpreter behind a virtual environment's."""
    return str(Path(sys.executable).resolve())


def environment(function: Function, found: Tools, memory_mb: int) -> dict[str, str]:
    """What Lambda sets for every function, as far as the functions here read it."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "PYTHONPATH": f"{function.code}:{found.client}",
        # Lambda's file system is read-only: what was not compiled before is compiled at each start.
        "PYTHONDONTWRITEBYTECODE": "1",
        "LAMBDA_TASK_ROOT": str(function.code),
        "LAMBDA_LAYER_ROOT": str(function.layer),
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(PATIENCE),
        "AWS_REGION": "us-east-1",
        **function.variables,
    }


@contextmanager
def stopped(command: list[str], variables: dict[str, str], output: Any) -> Iterator[None]:
    """Run ``command`` in a process group of its own, and end it and its children."""
    process = subprocess.Popen(
        command, env=variables, stdout=output, stderr=output, cwd=variables["LAMBDA_TASK_ROOT"]
    )
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(port: int, log: Path) -> None:
    """Return when the emulator listens; raise StartError if it does not."""
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.01)
    raise StartError(f"the emulator did not start: {log.read_text()[-2000:]}")
