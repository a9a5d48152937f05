"""SnapStart's hooks, where the runtime has them."""

from __future__ import annotations

import sys
from collections.abc import Callable

try:
    from snapshot_restore_py import (  # type: ignore[import-not-found]
        register_after_restore,
        register_before_snapshot,
    )
except ImportError:  # only Lambda's own runtimes carry the module
    register_after_restore = register_before_snapshot = None


def before_snapshot(work: Callable[[], None]) -> None:
    """Run ``work`` before a snapshot is taken, when its time is nobody's; never where none is taken."""
    if register_before_snapshot is not None:
        register_before_snapshot(work)


def after_restore(work: Callable[[], None]) -> None:
    """Run ``work`` after each restore from a snapshot, whose memory pages are cold; chance is fresh then."""

    def resume() -> None:
        reseed()
        work()

    if register_after_restore is not None:
        register_after_restore(resume)


def reseed() -> None:
    """Seed the generator that a snapshot would otherwise have run alike in every copy of the function.

    Whoever draws from the system (``os.urandom``, ``uuid4``, ``secrets``) needs no help: Lambda sees to that.
    Where the module is imported later, it seeds itself then.
    """
    if module := sys.modules.get("random"):
        module.seed()
