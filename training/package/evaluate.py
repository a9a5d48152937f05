"""What models say of the rows of a split, read in one pass, and how far a graph is from its model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.package.export import Unfolded
from training.package.gate import Parity
from training.package.scoring import Inputs
from training.train.data import LABEL, Examples, number_matrix
from training.train.metrics import Metrics, measure
from training.train.model import Tabular

Score = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Probabilities [N] of rows [N, n + c]."""


@dataclass(frozen=True)
class Reader:
    """Someone who scores rows: which features it takes, and what it says of them."""

    inputs: Inputs
    score: Score


@dataclass(frozen=True)
class Scored:
    """The labels [N] of a split's rows, and each reader's probabilities [N] for them."""

    labels: NDArray[np.float32]
    scores: Mapping[str, NDArray[np.float32]]

    def metrics(self, name: str) -> Metrics:
        """Measure what reader ``name`` said."""
        return measure(self.labels, self.scores[name])

    def parity(self, name: str, reference: str) -> Parity:
        """Return how far reader ``name`` is from reader ``reference``."""
        return parity(self.scores[name], self.scores[reference])


def score_all(examples: Examples, readers: Mapping[str, Reader]) -> Scored:
    """Let every reader score every row of ``examples``, which are read once. Raises DataError."""
    names = sorted({name for reader in readers.values() for name in reader.inputs.names})
    labels, scores = [], {name: [] for name in readers}  # type: ignore[var-annotated]
    for batch in examples.batches([*names, LABEL]):
        labels.append(number_matrix(batch, [LABEL])[:, 0])
        for name, reader in readers.items():
            scores[name].append(reader.score(reader.inputs.of_batch(batch)))
    return Scored(np.concatenate(labels), {name: np.concatenate(parts) for name, parts in scores.items()})


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
