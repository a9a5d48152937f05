"""Points in time as the bundle writes them."""

from __future__ import annotations

from datetime import datetime


def seconds_of(text: str) -> float | None:
    """Return seconds since 1970 of a time such as 2026-11-24T08:35:28Z, or None where it is no such text."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
