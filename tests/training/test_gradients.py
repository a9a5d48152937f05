"""Gradients that two ranks average, whichever of them has to wait and however many buckets there are."""

from __future__ import annotations

import time
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.train.gradients import averaged

pytestmark = pytest.mark.torch

RANKS = 2


def model() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 300), nn.Linear(300, 1))


def gradients(network: nn.Module, rank: int) -> list[Tensor]:
    """The gradients of what ``rank`` sees, for ``network`` is the bare model or the one that averages."""
    network.zero_grad()
    network(torch.full((4, 300), 1.0 + rank)).sum().backward()
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


def run_rank(rank: int, folder: Path, late: float, megabytes: float) -> None:
    """Leaves the gradients of a second step, for the buckets are made anew after the first."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    parallel = DistributedDataParallel(model(), bucket_cap_mb=megabytes)
    parallel.register_comm_hook(None, averaged)
    gradients(parallel, rank)
    time.sleep(late * rank)
    torch.save(gradients(parallel, rank), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("late", "megabytes"),
    [
        pytest.param(0.0, 25.0, id="together"),
        pytest.param(0.3, 25.0, id="one late enough for the other to sleep"),
        pytest.param(0.0, 0.1, id="in many buckets"),
    ],
)
def test_every_rank_has_the_mean_of_all(tmp_path: Path, late: float, megabytes: float) -> None:
    with get_context("spawn").Pool(RANKS) as pool:
        pool.starmap(run_rank, [(rank, tmp_path, late, megabytes) for rank in range(RANKS)], chunksize=1)
    wanted = [
        sum(each) / RANKS for each in zip(*(gradients(model(), rank) for rank in range(RANKS)), strict=True)
    ]
    for rank in range(RANKS):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert all(torch.allclose(one, other) for one, other in zip(found, wanted, strict=True))
