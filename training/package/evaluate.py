"""What a graph is worth on the untouched rows, and whether it still says what the torch model says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.package.gate import Parity
from training.package.scoring import Scorer
from training.train.artefact import Trained
from training.train.data import LABEL, Examples, Rows, number_matrix, read_rows
from training.train.loop import probabilities
from training.train.metrics import Metrics, measure


def evaluate(scorer: Scorer, examples: Examples) -> Metrics:
    """Measure the graph on every row of ``examples``. Raises DataError where a feature is missing."""
    return measure(labels(examples), scorer.examples(examples))


def labels(examples: Examples) -> NDArray[np.float32]:
    """Return the labels [N] of ``examples``, zeros and ones."""
    return np.concatenate([number_matrix(batch, [LABEL])[:, 0] for batch in examples.batches([LABEL])])


def compare(trained: Trained, scorer: Scorer, examples: Examples) -> Parity:
    """Compare the torch model's probabilities with the graph's on every row of ``examples``.

    The torch model reads slots that Python looked up, the graph reads strings: its look-up is compared too.
    """
    rows: Rows = read_rows(examples, trained.encoding, range(len(examples)))
    expected = probabilities(trained.model(), rows)
    difference = np.abs(expected.astype(np.float64) - scorer.examples(examples))
    # NaN would compare as "not greater" with any budget.
    worst = float(np.max(difference)) if np.isfinite(difference).all() else float("inf")
    return Parity(max_abs_difference=worst, rows=len(rows))
