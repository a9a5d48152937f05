"""A server in a process of its own, as it is started anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VARIABLES = ("MILLRACE_BUNDLE", "MILLRACE_HOST", "MILLRACE_SERVER_PORT", "MILLRACE_POLL_SECONDS")


class Running:
    """The process, its log so far, and calls of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.port = int(self.wait_for("listening")["port"])

    def wait_for(self, message: str) -> dict[str, Any]:
        """Read the log until it says ``message``; return that line."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append(json.loads(text))
            if self.lines[-1]["message"] == message:
                return self.lines[-1]
        raise AssertionError(f"the server ended without saying `{message}`: {self.lines}")

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[HTTPResponse, bytes]:
        """Send one request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def end(self) -> int:
        """Ask it to end and return its exit status; its last words join ``lines``."""
        self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=30)
        self.lines += map(json.loads, said.splitlines())
        return self.process.returncode


@contextmanager
def running(*arguments: str, **variables: str) -> Iterator[Running]:
    """Run a server on a free port until the block ends."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "server", *arguments, "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, env={**clean, **variables}, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def started(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected to end by itself."""
    clean = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    command = [sys.executable, "-m", "server", *arguments]
    environment = {**clean, **variables}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
