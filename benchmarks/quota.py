"""A share of one processor, as Lambda gives it: by the Linux scheduler's bandwidth control.

A group of processes may run for ``share × period`` in every ``period``, and stands still for the rest of it.
This is the kernel's own mechanism, cgroups, and needs the right to make a group: root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PERIOD = 20_000
"""Microseconds. What Lambda uses is not documented; pauses seen from inside functions come every 20 ms."""
FULL_MB = 1769
"""Where Lambda gives one whole virtual processor. Source: AWS Lambda, "Configure Lambda function memory"."""
HEAVY_V1, HEAVY_V2 = 100_000, 10_000


class QuotaError(RuntimeError):
    """No group could be made: why, and what to do."""


@dataclass(frozen=True)
class Group:
    """A group of processes; ``command`` starts another within it."""

    folder: Path

    @property
    def command(self) -> tuple[str, ...]:
        """What to put before a command to run it in the group."""
        return ("/bin/sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh")

    def peak_mb(self) -> float:
        """Most memory, in MB, that the largest process of the group has ever held at once."""
        pids = (self.folder / "cgroup.procs").read_text().split()
        return max(peak_of(Path("/proc") / pid / "status") for pid in pids)


def share_of(memory_mb: int) -> float:
    """Processors that Lambda gives a function of ``memory_mb``; more than one is of no use to one thread."""
    return min(1.0, memory_mb / FULL_MB)


@contextmanager
def group(share: float | None, cgroups: Path = CGROUPS, period: int = PERIOD) -> Iterator[Group]:
    """Make a group that gets ``share`` of one processor (None: all it wants). Raises QuotaError.

    It gets that before its neighbours: other work on this machine is kept out of the figures as far as the
    scheduler can.
    """
    made = Group(parent(cgroups) / f"millrace-{os.getpid()}-{share}")
    with ExitStack() as stack:
        try:
            made.folder.mkdir()
            stack.callback(made.folder.rmdir)
            for name, value in limits(made.folder, share, period).items():
                (made.folder / name).write_text(value)
        except OSError as error:
            remedy = "Run this benchmark as root, on Linux."
            raise QuotaError(f"{made.folder}: {error.strerror}. {remedy}") from error
        yield made


@contextmanager
def ahead(cgroups: Path = CGROUPS) -> Iterator[tuple[str, ...]]:
    """A command that lets another go before this machine's other work; empty where no group can be made."""
    with ExitStack() as stack:
        try:
            command = stack.enter_context(group(None, cgroups)).command
        except QuotaError:
            command = ()
        yield command


def parent(cgroups: Path) -> Path:
    """Folder of the processor's controller: its own in version 1 of cgroups, that of all in version 2."""
    return cgroups / "cpu" if (cgroups / "cpu").is_dir() else cgroups


def limits(folder: Path, share: float | None, period: int) -> dict[str, str]:
    """Files to write, in this order, and what to write into them."""
    running = None if share is None else round(share * period)
    if folder.parent.name == "cpu":
        quota = -1 if running is None else running
        weight = {"cpu.shares": str(HEAVY_V1)}
        return {"cpu.cfs_period_us": str(period), "cpu.cfs_quota_us": str(quota), **weight}
    return {"cpu.max": f"{running or 'max'} {period}", "cpu.weight": str(HEAVY_V2)}


def peak_of(status: Path) -> float:
    """The peak of a process's resident memory, in MB."""
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) * 1024 / 1e6
    raise QuotaError(f"{status} has no VmHWM. Run this benchmark on Linux.")
