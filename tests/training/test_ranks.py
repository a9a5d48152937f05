"""What ranks agree on: checkpoints and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from training.train.checkpoint import Checkpoints
from training.train.ranks import DivergenceError, Ranks


@dataclass(frozen=True)
class Pair(Ranks):
    """The first of two ranks, the second of which always says ``other``."""

    other: Any = None

    def each(self, value: Any) -> list[Any]:
        return [value, self.other]


def pair(other: Any) -> Ranks:
    return Pair(rank=0, local=0, size=2, device=torch.device("cpu"), other=other)


def test_ranks_with_other_parameters_are_refused() -> None:
    with pytest.raises(DivergenceError, match=r"ranks \[1\] ended with other parameters"):
        pair("another digest").check_identical({"weight": torch.ones(2)})


@pytest.mark.parametrize(
    ("theirs", "resumed"), [([1, 2, 3], 3), ([2, 3, 4], 3), ([2], 2), ([7], None), ([], None)]
)
def test_hosts_resume_from_the_last_epoch_that_all_have(
    tmp_path: Path, theirs: list[int], resumed: int | None
) -> None:
    # Given a host that has checkpoints of the epochs 2 and 3
    checkpoints = Checkpoints(tmp_path, "f00")
    for epoch in (1, 2, 3):
        checkpoints.save(epoch, {"epoch": epoch, "weight": torch.ones(1)})
    # When it agrees with one that has those of ``theirs``
    state = checkpoints.latest(pair(theirs))
    # Then
    assert (state and state["epoch"]) == resumed


def test_only_whole_checkpoints_of_the_same_training_are_seen(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "f00").save(4, {})
    (tmp_path / ".epoch-0005-f00.pt.123").write_bytes(b"half")
    assert Checkpoints(tmp_path, "f00").epochs() == [4]
    assert Checkpoints(tmp_path, "bad").epochs() == []


def test_old_checkpoints_are_dropped(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f00")
    for epoch in range(1, 6):
        checkpoints.save(epoch, {})
    assert checkpoints.epochs() == [4, 5]
