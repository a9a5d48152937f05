"""The graphs of one model: one for batches, one for single records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BATCH, SINGLE = "model.onnx", "single.onnx"


@dataclass(frozen=True)
class Graphs:
    """Two serialised ONNX graphs of the same model, which may be the same graph."""

    batch: bytes
    single: bytes

    @property
    def names(self) -> Mapping[str, str]:
        """Return the file of each use."""
        return {"batch": BATCH, "single": SINGLE if self.single != self.batch else BATCH}

    @property
    def files(self) -> Mapping[str, bytes]:
        """Return each file's content by its name."""
        return {BATCH: self.batch, self.names["single"]: self.single}

    @property
    def bytes(self) -> int:
        """Return the size of all files together."""
        return sum(map(len, self.files.values()))
