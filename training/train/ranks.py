"""The processes of one job: who this one is, and what they tell each other."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

_PATIENCE = timedelta(minutes=10)  # how long a rank waits for another before it gives the job up
_T = TypeVar("_T")


class DivergenceError(RuntimeError):
    """Ranks that should hold identical parameters do not."""


@dataclass(frozen=True)
class Ranks:
    """The place of a process among ``size``: ``rank`` over all hosts, ``local`` on its own host."""

    rank: int
    local: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for the whole job."""
        return self.rank == 0

    @property
    def first_on_host(self) -> bool:
        """Whether this process writes for its host."""
        return self.local == 0

    def total(self, value: float) -> float:
        """Return the sum of ``value`` over all ranks."""
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return float(summed)

    def together(self, values: Tensor) -> Tensor:
        """Return ``values`` [n] of every rank as one [N] on the CPU, in the order of ranks; n may differ."""
        counts = self.each(len(values))
        padded = values.new_zeros(max(counts))
        padded[: len(values)] = values
        gathered = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(gathered, padded)
        return torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)]).cpu()

    def each(self, value: _T) -> list[_T]:
        """Return every rank's small ``value``, in the order of ranks."""
        values: list[_T] = [value] * self.size
        dist.all_gather_object(values, value)
        return values

    def check_identical(self, weights: Mapping[str, Tensor]) -> str:
        """Return the digest of ``weights``. Raises DivergenceError unless it is the same on every rank."""
        digests = self.each(digest(weights))
        strays = [rank for rank, other in enumerate(digests) if other != digests[0]]
        if strays:
            raise DivergenceError(
                f"ranks {strays} ended with other parameters than rank 0: their gradients were not averaged, "
                "so none of the models can be trusted; run again, and check the hosts if it repeats"
            )
        return digests[0]


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the ranks that torchrun's environment names: NCCL where this host has GPUs, gloo otherwise."""
    local = int(os.environ["LOCAL_RANK"])
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(rank=dist.get_rank(), local=local, size=dist.get_world_size(), device=device)
    finally:
        dist.destroy_process_group()


def digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the tensors' bytes, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        sha.update(name.encode())
        sha.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()
