"""How much of the machine somebody else used while something was measured."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

_BUSY = (0, 1, 2, 5, 6, 7)
"""Columns of ``/proc/stat``: user, nice, system, irq, softirq, steal. Source: proc_stat(5)."""


class Others:
    """Counts from when it is made; ``share`` may be asked once the children of this process have ended.

    A child's own children count only if it waited for them; where it did not, say what they took.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy = busy()
        self._own = own()

    def share(self, unaccounted: float = 0.0) -> float:
        """Return the share of all cores that neither this process nor its ended children used, 0 to 1.

        ``unaccounted`` are processor seconds of ended processes that nobody waited for.
        """
        cores = os.cpu_count() or 1
        passed = (time.monotonic() - self._began) * cores
        others = (busy() - self._busy) - (own() - self._own) - unaccounted
        return max(0.0, others / passed)


def wait_for_quiet(share: float, patience: float, span: float = 1.0) -> bool:
    """Return once others use less than ``share`` of the cores during ``span`` seconds.

    Returns False where that was not so for ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        watched = Others()
        time.sleep(span)
        if watched.share() < share:
            return True
    return False


def busy(source: Path = Path("/proc/stat")) -> float:
    """Return the seconds that all cores together have worked since the machine started; 0 where unknown."""
    if not source.is_file():
        return 0.0
    fields = source.read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[column]) for column in _BUSY) / os.sysconf("SC_CLK_TCK")


def own() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)
