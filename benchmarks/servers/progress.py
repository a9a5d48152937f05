"""Lines that tell how far the run is."""

from __future__ import annotations

import sys
import time

_BEGAN = time.monotonic()


def say(line: str) -> None:
    """Write ``line`` with the time since the start, at once."""
    passed = int(time.monotonic() - _BEGAN)
    sys.stdout.write(f"[{passed // 60:02}:{passed % 60:02}] {line}\n")
    sys.stdout.flush()
