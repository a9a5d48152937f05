"""SnapStart restores one snapshot many times: what must differ between the copies, and what must be warm."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import pytest

from functions.predict import restore

Hooks = list[Callable[[], None]]


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    registered: Hooks = []
    monkeypatch.setattr(restore, "register_after_restore", registered.append)
    return registered


def test_given_one_snapshot_when_restored_twice_then_chance_differs(hooks: Hooks) -> None:
    restore.after_restore(lambda: None)
    (resume,) = hooks
    frozen = random.getstate()

    drawn = []
    for _ in range(2):
        random.setstate(frozen)
        resume()
        drawn.append(random.random())

    assert drawn[0] != drawn[1]


def test_given_a_restore_then_the_work_meets_fresh_chance(hooks: Hooks) -> None:
    seen = []
    restore.after_restore(lambda: seen.append(random.getstate()))
    random.seed(7)
    frozen = random.getstate()

    hooks[0]()

    assert len(seen) == 1
    assert seen[0] != frozen


def test_given_a_generator_that_nobody_imported_then_a_restore_does_not_import_it(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "random")
    restore.after_restore(lambda: None)

    hooks[0]()

    assert "random" not in sys.modules


def test_given_a_runtime_without_snapshots_then_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore, "register_after_restore", None)
    monkeypatch.setattr(restore, "register_before_snapshot", None)

    restore.after_restore(lambda: pytest.fail("ran without a restore"))
    restore.before_snapshot(lambda: pytest.fail("ran without a snapshot"))
