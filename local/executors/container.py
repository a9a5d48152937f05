"""A SageMaker container's folders and environment, made of a folder and a process on this machine.

A job's ``/opt/ml`` is a folder of its own for each host. The text ``/opt/ml`` in the command, its
arguments and its environment is replaced by that folder, and ``SAGEMAKER_BASE_DIR`` names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.emulator import gateway
from local.executors.process import Process

BASE = "/opt/ml"
INTERFACE = "lo" if sys.platform == "linux" else "lo0"
_QUIET_PORTS = range(20000, 30000)
"""Below what Linux (32768) and macOS (49152) give to outgoing connections."""
_FROM_HERE = {"HOME", "LANG", "LC_ALL", "TMPDIR"}
_FOLDERS = ("input/config", "input/data", "model", "output/data", "output/metrics", "checkpoints", "code")


def addresses(count: int) -> list[str]:
    """Loopback addresses of ``count`` hosts. Raises OSError if this machine lacks one of them."""
    found = [f"127.0.0.{index + 1}" for index in range(count)]
    for address in found:
        with socket.socket() as probe:
            try:
                probe.bind((address, 0))
            except OSError as error:
                raise OSError(
                    f"the loopback address {address} stands for a host of the job but cannot be used "
                    f"({error.strerror}); on macOS: sudo ifconfig lo0 alias {address}"
                ) from error
    return found


def free_port() -> int:
    """A TCP port nobody uses at the moment, and that no outgoing connection is given later.

    A port that the kernel chose could go to a connection before the caller comes to listen on it: the
    emulator's clients make hundreds. Raises OSError if a hundred tries find none.
    """
    for port in random.sample(_QUIET_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no free port found between {_QUIET_PORTS[0]} and {_QUIET_PORTS[-1]} on 127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host of a job: its folder that stands for ``/opt/ml``, and its address."""

    root: Path
    address: str
    environment: Mapping[str, str]
    isolated: bool
    """Network isolation: the process gets no credentials and no endpoint."""
    threads: int

    def prepare(self) -> None:
        """Make the folders that every container finds."""
        for name in _FOLDERS:
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def path(self, inside: str) -> Path:
        """The folder or file that stands for ``inside``, a path below ``/opt/ml``."""
        if inside != BASE and not inside.startswith(BASE + "/"):
            raise ValueError(f"{inside!r}: only paths below {BASE} exist in the local environment")
        return Path(self.rewrite(inside))

    def rewrite(self, text: str) -> str:
        """``text`` with this host's folder instead of ``/opt/ml``."""
        return text.replace(BASE, str(self.root))

    def config(self, name: str, content: Any, folder: str = "input/config") -> None:
        """Write a JSON file that SageMaker puts beside the job."""
        file = self.root / folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=1))

    def start(
        self, command: Sequence[str], stdout: Callable[[str], None], stderr: Callable[[str], None]
    ) -> Process:
        """Start the container's command."""
        return Process(
            [self.rewrite(part) for part in command],
            environment=self._environment(),
            folder=self.root,
            stdout=stdout,
            stderr=stderr,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in _FROM_HERE}
        aws = {} if self.isolated else {**gateway.CREDENTIALS, "AWS_ENDPOINT_URL": gateway.endpoint()}
        return {
            **kept,
            **aws,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "OMP_NUM_THREADS": str(self.threads),
            "PYTHONUNBUFFERED": "1",
            "SAGEMAKER_BASE_DIR": str(self.root),
            **{name: self.rewrite(value) for name, value in self.environment.items()},
        }


def hosts(
    folder: Path, count: int, environment: Mapping[str, str], isolated: bool, sharing: int = 1
) -> list[Host]:
    """Prepared hosts of one job, which share this machine's processors with ``sharing`` such jobs."""
    threads = max(1, (os.cpu_count() or 1) // (count * sharing))
    made = [
        Host(
            root=folder / f"algo-{index + 1}",
            address=address,
            environment=environment,
            isolated=isolated,
            threads=threads,
        )
        for index, address in enumerate(addresses(count))
    ]
    for host in made:
        host.prepare()
    return made


def resources(host: Host, all_hosts: Sequence[Host], instance: str) -> dict[str, Any]:
    """The content of ``resourceconfig.json`` on ``host``."""
    names = [other.address for other in all_hosts]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance, "hosts": names}
    return {
        "current_host": host.address,
        "current_instance_type": instance,
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [group],
        "network_interface_name": INTERFACE,
    }
