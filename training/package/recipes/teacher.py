"""The teacher itself, as the training job left it."""

from __future__ import annotations

from collections.abc import Iterator

from training.package.candidate import Candidate
from training.package.workbench import Workbench


def make(bench: Workbench) -> Iterator[Candidate]:
    """Yield the teacher's own graphs."""
    yield Candidate(
        name="teacher",
        made="the model of the training job, unchanged",
        graphs=bench.graphs,
        reference=bench.score,
    )
