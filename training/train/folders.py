"""Where SageMaker puts what a job reads and looks for what it writes.

Source: "How Amazon SageMaker AI Provides Training Information" and "Build Your Own Processing
Container" in the Amazon SageMaker developer guide.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """The folders of a training job below ``base``, which is ``/opt/ml`` in a container."""

    base: Path

    @classmethod
    def of_environment(cls) -> Folders:
        """Read ``SAGEMAKER_BASE_DIR``; a container leaves it unset."""
        return cls(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    def config(self, name: str) -> Path:
        """One of SageMaker's own files: ``resourceconfig.json`` or ``hyperparameters.json``."""
        return self.base / "input" / "config" / name

    def channel(self, name: str) -> Path:
        """Where the data of input channel ``name`` lie."""
        return self.base / "input" / "data" / name

    @property
    def model(self) -> Path:
        """What is written here becomes the job's ``model.tar.gz``."""
        return self.base / "model"

    @property
    def checkpoints(self) -> Path:
        """Kept in step with S3, so that a restarted job finds it filled."""
        return self.base / "checkpoints"

    @property
    def failure(self) -> Path:
        """Its first 1024 characters become the job's FailureReason."""
        return self.base / "output" / "failure"
