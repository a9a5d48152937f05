"""Where SageMaker puts what a processing job reads and looks for what it writes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """The folders of a processing job below ``base``, which is ``/opt/ml`` in a container."""

    base: Path

    @classmethod
    def of_environment(cls) -> Folders:
        """Read ``SAGEMAKER_BASE_DIR``; a container leaves it unset."""
        return cls(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    def input(self, name: str) -> Path:
        """Where processing input ``name`` lies."""
        return self.base / "processing" / "input" / name

    @property
    def output(self) -> Path:
        """What is written here is uploaded when the job ends."""
        return self.base / "processing" / "output"

    @property
    def message(self) -> Path:
        """Its first kilobyte becomes the job's ExitMessage."""
        return self.base / "output" / "message"
