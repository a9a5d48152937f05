"""How ranks average their gradients on the CPU: awake.

DistributedDataParallel compares the annotations of its hooks, so they must not become strings here.
"""

import os
import time

import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.futures import Future

_AWAKE = 0.05
"""Seconds that a rank waits for another before it goes to sleep."""


def averaged(group: dist.ProcessGroup | None, bucket: dist.GradBucket) -> Future[Tensor]:  # type: ignore[name-defined]
    """Average a bucket of gradients over all ranks; with a step's last one, return when that is done.

    A hook of DistributedDataParallel. An exchange goes through several threads, and on a virtual machine it
    takes longer to wake them, on cores that went to sleep meanwhile, than to exchange gradients. So a rank
    that waits keeps its core from sleeping, and offers it to those threads again and again. Whoever has to
    wait for much longer than an exchange takes does go to sleep. The buckets before the last are exchanged
    while gradients are still being computed.
    """
    exchange = allreduce_hook(group, bucket)  # type: ignore[arg-type]
    if bucket.is_last():
        until = time.monotonic() + _AWAKE
        while not exchange.done() and time.monotonic() < until:
            os.sched_yield()
    return exchange
