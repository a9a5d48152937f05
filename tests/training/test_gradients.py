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


def run_rank(rank: int, folder: Path, late: float, megabytes: float) -> float:
    """Leaves the gradients of a third step: in the second, ranks already meet to make their buckets anew.

    Returns the seconds of processor time that it took.
    """
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    parallel = DistributedDataParallel(model(), bucket_cap_mb=megabytes)
    parallel.register_comm_hook(None, averaged)
    for _ in range(2):
        gradients(parallel, rank)
    time.sleep(late * rank)
    began = time.process_time()
    found = gradients(parallel, rank)
    worked = time.process_time() - began
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
    return worked


def run_ranks(folder: Path, *, late: float = 0.0, megabytes: float = 25.0) -> list[float]:
    """Runs both, the second ``late`` seconds later."""
    with get_context("spawn").Pool(RANKS) as pool:
        return pool.starmap(run_rank, [(rank, folder, late, megabytes) for rank in range(RANKS)], chunksize=1)


@pytest.mark.parametrize("megabytes", [25.0, 0.1], ids=["in one bucket", "in many"])
def test_every_rank_has_the_mean_of_all(tmp_path: Path, megabytes: float) -> None:
    run_ranks(tmp_path, megabytes=megabytes)

    assert_means(tmp_path)


def test_a_rank_that_waits_long_sleeps(tmp_path: Path) -> None:
    late = 1.0

    waited, _ = run_ranks(tmp_path, late=late)

    assert waited < late / 2
    assert_means(tmp_path)


def assert_means(folder: Path) -> None:
    each = zip(*(gradients(model(), rank) for rank in range(RANKS)), strict=True)
    wanted = [sum(ranks) / RANKS for ranks in each]
    for rank in range(RANKS):
        found = torch.load(folder / f"{rank}.pt", weights_only=True)
        assert all(torch.allclose(one, other) for one, other in zip(found, wanted, strict=True))
