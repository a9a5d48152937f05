"""What several tests of training and packaging look at: each is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.hosts import host_folder, train
from tests.training.parcels import Run, make_run

HOSTS = ["127.0.0.1", "127.0.0.2"]
LONG = {"epochs": "10", "patience": "10", "learning_rate": "0.005"}
"""Hyperparameters of a training long enough to be interrupted."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("parcels"))


@pytest.fixture(scope="session")
def two_hosts(run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders of two hosts that have trained together without interruption."""
    base = tmp_path_factory.mktemp("two-hosts")
    bases = [host_folder(base / host, run, HOSTS, host, **LONG) for host in HOSTS]
    assert train(bases) == [0, 0], (bases[0] / "log").read_text()
    return bases
