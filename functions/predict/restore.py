"""SnapStart's hooks, where the runtime has them."""

from __future__ import annotations

from collections.abc import Callable

try:
    from snapshot_restore_py import register_after_restore  # type: ignore[import-not-found]
except ImportError:  # only Lambda's own runtimes carry the module
    register_after_restore = None


def after_restore(work: Callable[[], None]) -> None:
    """Run ``work`` after each restore from a snapshot: its memory pages are cold then."""
    if register_after_restore is not None:
        register_after_restore(work)
