"""What the launcher tells torchrun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.parcels import write_json
from training.train.launch import Cluster, LaunchError, arguments, environment, read_cluster


def test_the_second_of_three_gpu_hosts_meets_the_others_at_the_first() -> None:
    cluster = Cluster(hosts=("algo-1", "algo-2", "algo-3"), current="algo-2", interface="eth0")
    assert arguments(cluster, 4, "29500") == [
        "--nnodes=3",
        "--node-rank=1",
        "--nproc-per-node=4",
        "--master-addr=algo-1",
        "--master-port=29500",
        "--module",
        "training.train.job",
    ]


def test_processes_meet_on_the_hosts_network_and_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = environment(Cluster(hosts=("algo-1",), current="algo-1", interface="eth0"), 4, cores=16)
    assert found["GLOO_SOCKET_IFNAME"] == found["NCCL_SOCKET_IFNAME"] == "eth0"
    assert found["OMP_NUM_THREADS"] == "4"


def test_hosts_on_loopback_share_the_cores_of_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cluster = Cluster(hosts=("127.0.0.1", "127.0.0.2"), current="127.0.0.1", interface="lo")
    assert environment(cluster, 1, cores=8)["OMP_NUM_THREADS"] == "4"


def test_a_resource_config_without_hosts_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "resourceconfig.json", {"current_host": "algo-1"})
    with pytest.raises(LaunchError, match="has no 'hosts'"):
        read_cluster(tmp_path / "resourceconfig.json")
