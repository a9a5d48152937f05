"""Child processes of a job: started in their own group, read line by line, ended with all they started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

JOB = "MILLRACE_JOB"
"""Environment variable that marks every process of one job, however deep it was started."""
EMULATOR = "MILLRACE_EMULATOR"
"""Environment variable that marks every process of one emulator; its value is the state folder."""

GRACE_SECONDS = 3.0

_running: set[Process] = set()
_lock = threading.Lock()


def marked(variable: str, value: str) -> list[int]:
    """Process ids whose environment has ``variable=value``, this process excepted.

    Torchrun and Spark start sessions of their own, so a process group is not enough to find all of
    a job's processes; the environment they inherit is. Without ``/proc`` the answer is empty.
    """
    wanted = f"{variable}={value}".encode()
    return [pid for pid in _process_ids() if pid != os.getpid() and wanted in _environment(pid)]


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or it is somebody else's
        return []


def end(pids: Sequence[int], grace: float = GRACE_SECONDS) -> None:
    """Ask ``pids`` to end, wait up to ``grace`` seconds, and kill those that are still there."""
    _signal(pids, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.05)
    _signal([pid for pid in pids if alive(pid)], signal.SIGKILL)


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def alive(pid: int) -> bool:
    """Whether ``pid`` runs. A process that ended but was not yet waited for counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return not Path("/proc/self").exists()


class Process:
    """One command of a job. ``stdout`` and ``stderr`` get its lines, without the newline, as they come."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        stdout: Callable[[str], None],
        stderr: Callable[[str], None],
    ) -> None:
        self.mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            list(command),
            env={**environment, JOB: self.mark, EMULATOR: os.environ.get(EMULATOR, "")},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        with _lock:
            _running.add(self)
        self._readers = [
            _read(self._process.stdout, stdout),
            _read(self._process.stderr, stderr),
        ]

    def poll(self) -> int | None:
        """The exit code, or None while the command runs."""
        return self._process.poll()

    def close(self) -> int:
        """Wait for the command, end what it left behind, read its last lines; return the exit code.

        A command that a signal ended has the code that a shell gives it: 128 and the signal's number.
        """
        code = self._process.wait()
        end(marked(JOB, self.mark))
        for reader in self._readers:
            reader.join(timeout=5)
        with _lock:
            _running.discard(self)
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """End the command and everything it started."""
        pids = marked(JOB, self.mark)
        if self.poll() is None and self._process.pid not in pids:
            pids.append(self._process.pid)
        end(pids)


@dataclass(frozen=True)
class Ending:
    """How a job's processes ended; ``culprit`` is the place of the first that failed."""

    how: Literal["ended", "failed", "timeout", "stopped"]
    culprit: int = 0


def _read(stream: IO[str] | None, sink: Callable[[str], None]) -> threading.Thread:
    def pump() -> None:
        for line in stream or ():
            sink(line.rstrip("\n"))

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    return thread


def wait(
    processes: Sequence[Process], *, seconds: float, stopped: Callable[[], bool], tick: Callable[[], None]
) -> Ending:
    """Wait for ``processes``; if one fails, or time is up, or ``stopped()``, end the others.

    ``tick`` is called a few times a second meanwhile.
    """
    deadline = time.monotonic() + seconds
    while any(process.poll() is None for process in processes):
        ending = _early(processes, time.monotonic() > deadline, stopped())
        if ending is not None:
            for process in processes:
                process.kill()
            return ending
        tick()
        time.sleep(0.1)
    return _early(processes, False, False) or Ending("ended")


def _early(processes: Sequence[Process], overdue: bool, stopped: bool) -> Ending | None:
    failed = next((index for index, process in enumerate(processes) if process.poll()), None)
    if failed is not None:
        return Ending("failed", failed)
    if stopped:
        return Ending("stopped")
    return Ending("timeout") if overdue else None


def end_all() -> None:
    """End every job's processes: the emulator is going away."""
    with _lock:
        processes = list(_running)
    pids = [pid for process in processes for pid in marked(JOB, process.mark)]
    end(pids or [])
    for process in processes:
        process.kill()
