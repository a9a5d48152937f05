"""Entry of the training container: joins this host to the others and runs torchrun.

The hosts come from SageMaker's ``resourceconfig.json``. One process is started per GPU, or one on the
CPU. The exit status is torchrun's; the root cause of a failure goes to ``/opt/ml/output/failure``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from training.train.folders import Folders

_log = logging.getLogger(__name__)
_PORT = "29500"


class LaunchError(ValueError):
    """A ``resourceconfig.json`` that does not say who trains."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The hosts of a job as this one sees them. The first is where the ranks meet."""

    hosts: tuple[str, ...]
    current: str
    interface: str

    @property
    def meeting_point(self) -> str:
        """The address where the ranks meet. A lone host need not be able to look itself up."""
        return self.hosts[0] if len(self.hosts) > 1 else "127.0.0.1"

    @property
    def rank(self) -> int:
        """The place of this host among the hosts."""
        return self.hosts.index(self.current)

    def sharing(self) -> int:
        """Return how many of the hosts are this very machine: loopback addresses all are."""
        return max(1, sum(host.startswith("127.") for host in self.hosts))


def main() -> None:
    """Run this host's part of the job and exit with its status."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    folders = Folders.of_environment()
    try:
        launch(read_cluster(folders.config("resourceconfig.json")))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        sys.exit(_report(folders, root_cause(failure), failure.exitcode))
    except SignalException as signal:
        sys.exit(_report(folders, f"stopped by signal {signal.sigval.name}", 128 + signal.sigval))
    except (LaunchError, OSError) as error:
        sys.exit(_report(folders, f"{type(error).__name__}: {error}", 1))


def launch(cluster: Cluster) -> None:
    """Run torchrun on this host until its processes have ended.

    torchrun ends its processes when it is sent SIGTERM, raising SignalException. Raises ChildFailedError
    with the first failure when one of them fails.
    """
    processes = torch.cuda.device_count() or 1
    os.environ.update(environment(cluster, processes, os.cpu_count() or 1))
    _log.info(
        "host %s is %d of %d; processes here: %d",
        cluster.current,
        cluster.rank + 1,
        len(cluster.hosts),
        processes,
    )
    torchrun.main(arguments(cluster, processes, os.environ.get("MASTER_PORT", _PORT)))


def read_cluster(file: Path) -> Cluster:
    """Read SageMaker's ``resourceconfig.json``. Raises LaunchError or OSError."""
    config = json.loads(file.read_text())
    try:
        cluster = Cluster(
            hosts=tuple(config["hosts"]),
            current=config["current_host"],
            interface=config.get("network_interface_name", ""),
        )
    except KeyError as error:
        raise LaunchError(f"{file} has no {error}; SageMaker writes hosts and current_host") from error
    if cluster.current not in cluster.hosts:
        raise LaunchError(
            f"{file}: current_host {cluster.current} is not among hosts {', '.join(cluster.hosts)}"
        )
    return cluster


def arguments(cluster: Cluster, processes: int, port: str) -> list[str]:
    """Return torchrun's arguments for a static rendezvous at the first host."""
    return [
        f"--nnodes={len(cluster.hosts)}",
        f"--node-rank={cluster.rank}",
        f"--nproc-per-node={processes}",
        f"--master-addr={cluster.meeting_point}",
        f"--master-port={port}",
        "--module",
        "training.train.job",
    ]


def environment(cluster: Cluster, processes: int, cores: int) -> dict[str, str]:
    """Return what the processes need in their environment: threads each, and the network to meet on."""
    threads = max(1, cores // (processes * cluster.sharing()))
    found = {
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads)),
        # Threads that spin while they wait slow a busy machine down twentyfold.
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS gives the same result each time only with this
    }
    if cluster.interface:
        found |= {"GLOO_SOCKET_IFNAME": cluster.interface, "NCCL_SOCKET_IFNAME": cluster.interface}
    return found


def root_cause(failure: ProcessFailure) -> str:
    """Return the error of the process that failed first: one line, then its traceback if it left one."""
    data = failure.error_file_data.get("message", {}) if failure.error_file_data else {}
    if not isinstance(data, dict) or "message" not in data:
        return (
            f"a training process ended with {failure.signal_name()} (exit status {failure.exitcode}), "
            "leaving no traceback; SIGKILL mostly means that the host ran out of memory"
        )
    traceback = data.get("extraInfo", {}).get("py_callstack", "")
    return f"{data['message']}\n\n{traceback}".strip()


def _report(folders: Folders, cause: str, status: int) -> int:
    """Leave ``cause`` where SageMaker looks for it, say it once more at the log's end, return the status."""
    folders.failure.parent.mkdir(parents=True, exist_ok=True)
    folders.failure.write_text(cause)
    _log.error("training failed: %s", cause)
    return status if status > 0 else 128 - status


if __name__ == "__main__":
    main()
