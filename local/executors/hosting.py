"""Run an endpoint's container on this machine: the same server, as a process on a port of its own."""

from __future__ import annotations

import re
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from local.executors import storage
from local.executors.container import BASE, Host, free_port, hosts
from local.executors.journal import Journal, Streams
from local.executors.process import Process

Record = dict[str, Any]

GROUP = "/aws/sagemaker/Endpoints"
ANSWER_SECONDS = 60.0
"""SageMaker gives a container so long to answer an invocation."""
START_SECONDS = 120.0
"""How long a container may take to answer ``/ping`` where its configuration does not say."""
PASSED_ON = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")
"""Headers of an invocation that reach the container."""
_REPOSITORY = Path(__file__).parents[2]


class HostingError(Exception):
    """A container does not come up; the text is SageMaker's FailureReason."""


@dataclass(frozen=True)
class Answer:
    """What a container said."""

    status: int
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(eq=False)
class Fleet:
    """The instances of one endpoint configuration: here one process, whatever their number."""

    process: Process
    said: Streams
    folder: Path
    pool: urllib3.HTTPConnectionPool
    resources: ExitStack
    _asked: int = 0
    _idle: threading.Condition = field(default_factory=threading.Condition)

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def enter(self) -> None:
        """Count an invocation, before anything else may close the fleet."""
        with self._idle:
            self._asked += 1

    def ask(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Pass on an invocation that was counted by ``enter``.

        Raises urllib3's errors: TimeoutError after a minute, HTTPError where the process does not answer.
        """
        try:
            reply = self.pool.urlopen(
                "POST", "/invocations", body=body, headers=dict(headers), retries=False, redirect=False
            )
            kept = {name.lower(): value for name, value in reply.headers.items()}
            return Answer(reply.status, kept, bytes(reply.data))
        finally:
            with self._idle:
                self._asked -= 1
                self._idle.notify_all()

    def close(self) -> None:
        """Let what was asked be answered, then end the process."""
        with self._idle:
            self._idle.wait_for(lambda: self._asked == 0, timeout=ANSWER_SECONDS)
        self.pool.close()
        self.process.kill()
        self.process.close()
        self.resources.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(model: Record, variant: Record, folder: Path, log: tuple[str, str]) -> Fleet:
    """Start the container of ``model``, which CreateModel took, for ``variant``; wait until it is healthy.

    ``log`` names the group and the stream that its lines go to.

    Raises HostingError that says why it is not, with the last error of its log.
    """
    container = _container(model)
    try:
        host = _stage(model, container, folder)
        fleet = _launch(host, folder, log)
    except (storage.MissingDataError, OSError, ValueError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise HostingError(f"Failed to download model data for container primary: {error}") from error
    try:
        _await_health(fleet, float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", START_SECONDS)))
    except HostingError:
        fleet.close()
        raise
    return fleet


def _container(model: Record) -> Record:
    container: Record = model.get("PrimaryContainer") or {}
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    if source.get("S3DataType") != "S3Prefix" or source.get("CompressionType") != "None":
        raise HostingError(
            "the local environment serves one PrimaryContainer whose ModelDataSource is an S3Prefix with "
            "CompressionType None; give the model such a source"
        )
    return container


def _stage(model: Record, container: Record, folder: Path) -> Host:
    """The container's folders, with the model's files in ``/opt/ml/model``."""
    environment = {"PYTHONPATH": str(_REPOSITORY), **container.get("Environment", {})}
    (host,) = hosts(folder, 1, environment, bool(model.get("EnableNetworkIsolation")))
    storage.download(container["ModelDataSource"]["S3DataSource"]["S3Uri"], host.root / "model")
    return host


def _launch(host: Host, folder: Path, log: tuple[str, str]) -> Fleet:
    port = free_port()
    # What the image's entry point does when SageMaker calls it with "serve", on a port of its own.
    command = [sys.executable, "-m", "server", f"{BASE}/model", "--host", "127.0.0.1", "--port", str(port)]
    resources = ExitStack()
    said = Streams(resources.enter_context(Journal(*log)))
    process = host.start(command, said.stdout, said.stderr)
    pool = urllib3.HTTPConnectionPool(
        "127.0.0.1", port, maxsize=16, timeout=urllib3.Timeout(connect=5, read=ANSWER_SECONDS)
    )
    return Fleet(process=process, said=said, folder=folder, pool=pool, resources=resources)


def _await_health(fleet: Fleet, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _healthy(fleet):
        if fleet.ended or time.monotonic() > deadline:
            raise HostingError(
                "The primary container for production variant live did not pass the ping health check. "
                f"Its log ends: {_last_words(fleet)}"
            )
        time.sleep(0.1)


def _healthy(fleet: Fleet) -> bool:
    try:
        return bool(fleet.pool.urlopen("GET", "/ping", retries=False, timeout=2).status == 200)
    except urllib3.exceptions.HTTPError:
        return False


def _last_words(fleet: Fleet) -> str:
    if fleet.ended:
        fleet.process.close()  # reads what it said last
    return re.sub(r"\s+", " ", fleet.said.root_cause())[:700] or "it said nothing"
