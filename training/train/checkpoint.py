"""Checkpoints: written whole or not at all, once per epoch, on every host.

Every host keeps its own, because hosts may or may not share the folder. What they resume from is the
last epoch that all of them have.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch

from training.train.ranks import Ranks

_KEPT = 2  # a host may be one epoch ahead of another when they are killed


class Checkpoints:
    """The checkpoints of one host in ``folder``.

    ``fingerprint`` tells what is being trained on what: checkpoints with another one are not seen.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        self._name = re.compile(rf"epoch-(\d+)-{re.escape(fingerprint)}\.pt")

    def epochs(self) -> list[int]:
        """Return the epochs after which there is a checkpoint, ascending."""
        if not self._folder.is_dir():
            return []
        matches = (self._name.fullmatch(file.name) for file in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Write ``state`` as it is after ``epoch`` and drop all but the last two checkpoints."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{self._file(epoch).name}.{os.getpid()}"
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file(epoch))
        for old in self.epochs()[:-_KEPT]:
            self._file(old).unlink(missing_ok=True)

    def latest(self, ranks: Ranks) -> dict[str, Any] | None:
        """Return the state of the last epoch that every host has, or None. All ranks must ask together."""
        common = set.intersection(*(set(epochs) for epochs in ranks.each(self.epochs())))
        if not common:
            return None
        state: dict[str, Any] = torch.load(
            self._file(max(common)), map_location=ranks.device, weights_only=True
        )
        return state

    def _file(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:04d}-{self._fingerprint}.pt"
