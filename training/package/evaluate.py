"""What models say of the rows of a split, read in one pass, and how far a graph is from its model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from training.package.candidate import Score
from training.package.export import Unfolded
from training.package.gate import Parity
from training.package.progress import Progress
from training.package.scoring import Inputs
from training.train.data import LABEL, Examples, number_matrix
from training.train.metrics import Metrics, measure
from training.train.model import Tabular


class CountedExamples(Examples):
    """Examples that count how often they were read: a split that judges may be looked at once."""

    reads = 0

    def batches(self, columns: Sequence[str], rows: range | None = None) -> Iterator[pa.RecordBatch]:
        """Begin another reading; see ``Examples.batches``."""
        self.reads += 1
        return super().batches(columns, rows)


@dataclass(frozen=True)
class Reader:
    """Someone who scores rows: which features it takes, and what it says of them."""

    inputs: Inputs
    score: Score


@dataclass(frozen=True)
class Scored:
    """The labels [N] of a split's rows, and each reader's probabilities [N] for them.

    ``rows`` are the first of the rows [K, n + c], as the first reader took them.
    """

    labels: NDArray[np.float32]
    scores: Mapping[str, NDArray[np.float32]]
    rows: NDArray[np.float32]

    def answers(self, name: str) -> bool:
        """Whether reader ``name`` had a probability for every row."""
        return not np.isnan(self.scores[name]).any()

    def metrics(self, name: str) -> Metrics:
        """Measure what reader ``name`` said. Raises ValueError unless it ``answers``."""
        return measure(self.labels, self.scores[name])

    def parity(self, name: str, reference: str) -> Parity:
        """Return how far reader ``name`` is from reader ``reference``."""
        return parity(self.scores[name], self.scores[reference])

    def parities(self, name: str) -> list[Parity]:
        """Return how far each graph of candidate ``name`` is from the candidate's own model."""
        return [self.parity(f"{name} {use}", f"{name} reference") for use in ("batch", "single")]


def score_all(examples: Examples, readers: Mapping[str, Reader], keep: int = 0) -> Scored:
    """Let every reader score every row of ``examples``, which are read once. Raises DataError.

    The first ``keep`` rows, as the first reader takes them, are in the result.
    """
    names = sorted({name for reader in readers.values() for name in reader.inputs.names})
    labels: list[NDArray[np.float32]] = []
    kept: list[NDArray[np.float32]] = []
    scores: dict[str, list[NDArray[np.float32]]] = {name: [] for name in readers}
    progress = Progress(f"scoring {examples.folder.name}", len(examples))
    for batch in examples.batches([*names, LABEL]):
        labels.append(number_matrix(batch, [LABEL])[:, 0])
        taken: dict[Inputs, NDArray[np.float32]] = {}
        for name, reader in readers.items():
            if reader.inputs not in taken:
                taken[reader.inputs] = reader.inputs.of_batch(batch)
            scores[name].append(reader.score(taken[reader.inputs]))
            progress.tell(sum(map(len, labels)))
        kept.append(next(iter(taken.values()))[: max(0, keep - sum(map(len, kept)))])
    return Scored(
        labels=np.concatenate(labels),
        scores={name: np.concatenate(parts) for name, parts in scores.items()},
        rows=np.concatenate(kept),
    )


def parity(scores: NDArray[np.float32], reference: NDArray[np.float32]) -> Parity:
    """Return the largest difference between two sets of probabilities [N] of the same rows."""
    difference = np.abs(reference.astype(np.float64) - scores)
    # NaN would compare as "not greater" with any budget.
    worst = float(np.max(difference)) if np.isfinite(difference).all() else float("inf")
    return Parity(max_abs_difference=worst, rows=len(scores))


def torch_score(model: Tabular) -> Score:
    """Return the torch model as one that scores rows: the reference of its graphs."""
    module = Unfolded(model.eval())

    @torch.inference_mode()
    def score(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = torch.sigmoid(module(torch.from_numpy(rows))).numpy()
        return probabilities

    return score
