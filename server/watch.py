"""Looks for a newer bundle, and has it taken over if it is sound; else the last good one serves on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from functions.predict.bundle import BundleError
from functions.predict.core import Core

from .log import Log
from .metrics import Metrics
from .sources import Source, load

Take = Callable[[Core], object]


class Watch:
    """Keeps an eye on one source. ``workload``: "" until a first model tells it."""

    def __init__(self, source: Source, workload: str, log: Log, metrics: Metrics) -> None:
        self._source, self._workload, self._log, self._metrics = source, workload, log, metrics
        self._mark = ""

    def first(self) -> Core:
        """Open the bundle that is there now; without one, what answers that there is none.

        Raises BundleError, and OSError where the place cannot be read.
        """
        self._mark = self._source.mark()
        return self._open()

    def newer(self) -> Core | None:
        """Open the bundle if it has changed since it was last opened or refused; None where it has not.

        Raises as ``first`` does.
        """
        mark, known = self._source.mark(), self._mark
        if mark in ("", known):
            return None
        self._mark = mark
        try:
            core = self._open()
        except OSError:
            self._mark = known  # the place is at fault, not the bundle: look again next time
            raise
        return core if core.bundle else None

    def _open(self) -> Core:
        core = Core.checked(self._source.name, load(self._source), self._workload)
        self._workload = core.workload
        return core

    def look(self, take: Take) -> None:
        """Hand a newer bundle to ``take``; say and count what is wrong with it if it is broken."""
        try:
            core = self.newer()
        except BundleError as error:
            self.refuse(error)
        except Exception as error:
            self._log.error("the bundle's place cannot be read", place=self._source.name, problem=str(error))
        else:
            if core:
                self._metrics.broken = False
                take(core)

    def refuse(self, error: BundleError) -> None:
        """Say that a bundle was refused; it is not looked at again before it changes."""
        self._metrics.refused += 1
        self._metrics.broken = True
        self._log.error("bundle refused", place=self._source.name, problem=str(error))

    def begin(self, seconds: float, take: Take) -> threading.Event:
        """Look every ``seconds``, in a thread that ends with the process; set what is returned to end it."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(seconds):
                self.look(take)

        threading.Thread(target=watch, name="watch", daemon=True).start()
        return ended
