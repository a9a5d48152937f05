"""Lines of progress for whoever watches the job's log: none for quick work, else one every few seconds."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger(__name__)
_SILENCE = 4.0
"""Seconds without a line."""


class Progress:
    """Tells of ``what`` how many of ``total`` steps are done."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._spoke = time.monotonic()

    def tell(self, done: int, note: str = "") -> None:
        """Log a line if the last one is some seconds ago."""
        if time.monotonic() - self._spoke > _SILENCE:
            self._spoke = time.monotonic()
            _log.info("%s: %d of %d%s", self._what, done, self._total, note)
