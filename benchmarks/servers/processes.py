"""What a process and all its descendants use: processor time and memory, as the kernel counts them.

Source: proc(5). Processor time is that of ``utime`` and ``stime``, read from the process's clock because
``/proc`` rounds it to hundredths of a second.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Process:
    """One line of ``/proc/PID/stat``.

    ``own`` and ``ended`` are processor seconds, of itself and of children that it has waited for; ``started``
    is in ticks since the machine's start.
    """

    pid: int
    parent: int
    own: float
    ended: float
    started: int
    dead: bool = False
    """Whether it has ended and only waits for its parent to take notice."""

    def lives_on(self, before: Process) -> bool:
        """Whether it is alive and what ``before`` was, not a later process of the same id."""
        return not self.dead and self.started == before.started


def parse(line: str) -> Process:
    """Read a line of ``/proc/PID/stat``. The command in its parentheses may hold anything."""
    pid, _, rest = line.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    user, system, ended_user, ended_system = (int(field) / _TICKS for field in fields[11:15])
    return Process(
        pid=int(pid),
        parent=int(fields[1]),
        own=user + system,
        ended=ended_user + ended_system,
        started=int(fields[19]),
        dead=fields[0] == "Z",
    )


def processes(proc: Path = PROC) -> dict[int, Process]:
    """Return all processes that there are, by their ids."""
    found = (_read(folder / "stat") for folder in proc.iterdir() if folder.name.isdigit())
    return {process.pid: process for process in map(parse, filter(None, found))}


def tree(root: int, among: dict[int, Process]) -> list[Process]:
    """Return ``root`` and all its descendants, parents first; nothing if there is no ``root``."""
    children: dict[int, list[Process]] = {}
    for process in among.values():
        children.setdefault(process.parent, []).append(process)
    found = [among[root]] if root in among else []
    for process in found:
        found += children.get(process.pid, [])
    return found


def processor_seconds(root: int) -> float:
    """Return the processor time of ``root``, its descendants, and those of them that have ended."""
    return sum(_own(process) + process.ended for process in tree(root, processes()))


def memory(root: int) -> int:
    """Return the bytes that ``root`` and its descendants hold; what several share is counted once."""
    rolls = (_read(PROC / str(process.pid) / "smaps_rollup") for process in tree(root, processes()))
    return sum(int(pss) * 1024 for roll in rolls for pss in _PSS.findall(roll))


def _own(process: Process) -> float:
    """Return a process's time to the nanosecond, or to the tick where its clock is gone already."""
    try:
        return time.clock_gettime(((~process.pid) << 3) | 2)  # CPUCLOCK_SCHED of clock_getcpuclockid(3)
    except OSError:
        return process.own


def _read(file: Path) -> str:
    """Return a file of ``/proc``; nothing where its process has ended meanwhile."""
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
