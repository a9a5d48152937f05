"""Patience: an alias that has just moved reaches every host of the service within seconds, not at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .errors import ProbeError

PAUSES = (1, 2, 3, 5, 8, 8)
"""Seconds between tries."""
RESERVE_MS = 35_000
"""What one more try may take."""


def until_right(attempt: Callable[[], None], context: Any, later: int = 0) -> None:
    """Repeat ``attempt`` until it raises no ``ProbeError``; the last one is raised when time runs out.

    ``context`` is Lambda's: it knows how much time is left; of that a try each is kept for ``later`` ones.
    """
    reserve = RESERVE_MS * (1 + later)
    for pause in PAUSES:
        try:
            return attempt()
        except ProbeError:
            if context.get_remaining_time_in_millis() < pause * 1000 + reserve:
                raise
            time.sleep(pause)
    return attempt()
