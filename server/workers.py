"""Several processes on one port: the system spreads connections over them, one process watches over all."""

from __future__ import annotations

import mmap
import os
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from .log import Log
from .run import Ready, StartError, bind, serve
from .settings import Settings

ENDS = (signal.SIGTERM, signal.SIGINT)
HALF = 128 * 1024
SLOT = 8 + 2 * HALF


class Board:
    """Memory that all workers share: each writes what it has counted, each can tell the sum.

    A slot holds two copies, and first which of them counts: a reader never meets half a copy.
    """

    def __init__(self, workers: int) -> None:
        self._workers, self._memory = workers, mmap.mmap(-1, workers * SLOT)

    def write(self, place: int, counts: Mapping[str, float]) -> None:
        """Write what worker ``place`` has counted so far."""
        content = msgspec.json.encode(counts)
        if len(content) > HALF - 8:
            return  # the routes are few: no process comes near it
        start = place * SLOT
        free = 1 if self._memory[start] != 1 else 2
        at = start + 8 + (free - 1) * HALF
        self._memory[at : at + 8 + len(content)] = len(content).to_bytes(8, "little") + content
        self._memory[start] = free

    def total(self) -> dict[str, float]:
        """Return what all workers have counted."""
        found: Counter[str] = Counter()
        for place in range(self._workers):
            found.update(self._read(place))
        return dict(found)

    def _read(self, place: int) -> dict[str, float]:
        start = place * SLOT
        if not self._memory[start]:
            return {}
        at = start + 8 + (self._memory[start] - 1) * HALF
        length = int.from_bytes(self._memory[at : at + 8], "little")
        return msgspec.json.decode(self._memory[at + 8 : at + 8 + length], type=dict[str, float])


class Share:
    """One worker's part: its place on the board, and whose child it is."""

    def __init__(self, board: Board, place: int, parent: int) -> None:
        self._board, self._place, self._parent = board, place, parent

    def total(self, counts: Mapping[str, float]) -> dict[str, float]:
        """Write this worker's counts, and return the sum of all: what was told once is never undercut."""
        self._board.write(self._place, counts)
        return self._board.total()

    @property
    def orphaned(self) -> bool:
        """Whether the process that watched over this one is gone."""
        return os.getppid() != self._parent


def supervise(settings: Settings, log: Log, ready: Ready | None = None) -> int:
    """Run the workers until told to end, or until one ends by itself: then all end, and the status is 1."""
    reserved = bind(settings)
    settings = msgspec.structs.replace(settings, port=reserved.getsockname()[1])
    board, parent = Board(settings.workers), os.getpid()
    crew = Crew()
    for each in ENDS:
        signal.signal(each, crew.end)
    # Who is told to end between its birth and its own handling of signals must not take it for its parent's.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    for place in range(settings.workers):
        pid = os.fork()
        if not pid:
            share = Share(board, place, parent)
            os._exit(_work(settings, log, None if place else ready, share))
        crew.add(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    return crew.wait(log)


def _work(settings: Settings, log: Log, ready: Ready | None, share: Share) -> int:
    for each in ENDS:
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    try:
        serve(settings, log, ready, share)
    except StartError as error:
        log.error("cannot start", problem=str(error))
        return 1
    except BaseException as error:  # the caller of os._exit sees no traceback
        log.failure("", "", error)
        return 1
    return 0


class Crew:
    """The workers that live."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._ending = False

    def add(self, pid: int) -> None:
        """Count a worker in."""
        self._pids.add(pid)
        if self._ending:
            self.end()

    def end(self, *_: object) -> None:
        """Pass on that it is time to end."""
        self._ending = True
        for pid in self._pids:
            with suppress(ProcessLookupError):  # it has ended, and is about to be forgotten
                os.kill(pid, signal.SIGTERM)

    def wait(self, log: Log) -> int:
        """Wait for all; 1 where one ended that was not told to, or other than it should."""
        status = 0
        while self._pids:
            pid, how = os.wait()
            self._pids.discard(pid)
            if not self._ending or how not in (0, *ENDS):  # told as it began, it ends by the signal
                log.error("a worker has ended by itself", worker=pid, status=os.waitstatus_to_exitcode(how))
                status = 1
                self.end()
        return status
