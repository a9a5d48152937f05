"""How sure a difference of two AUCs is: a paired bootstrap over the rows that both models scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.package.progress import Progress

_SIDES = (2.5, 97.5)  # per cent: a two-sided interval of 95 %
_SEED = 7

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the 95 % interval around it."""

    estimate: float
    low: float
    high: float


class Ranking:
    """Scores [N] sorted once, so that the AUC under other weights of the rows costs one pass."""

    def __init__(self, labels: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._positive = labels[self._order].astype(np.float64)

    def auc(self, weights: Floats) -> float:
        """Return the area under the ROC curve, row i counted ``weights[i]`` times; NaN if a class is gone."""
        ordered = weights[self._order]
        ones = np.add.reduceat(ordered * self._positive, self._starts)
        zeros = np.add.reduceat(ordered, self._starts) - ones
        pairs = ones.sum() * zeros.sum()
        below = np.cumsum(zeros) - zeros / 2  # ties count half
        return float((ones * below).sum() / pairs) if pairs > 0 else float("nan")


def auc_losses(
    labels: NDArray[np.float32], scores: Mapping[str, NDArray[np.float32]], best: str, draws: int
) -> dict[str, Interval]:
    """Return how much AUC each of ``scores`` loses against those of ``best``, on the same rows and draws.

    A draw counts each row as often as a Poisson variable of mean 1 says, which is the bootstrap for many
    rows. Source: Chamandy et al., "Estimating Uncertainty for Massive Data Streams", Google, 2012.
    """
    rankings = {name: Ranking(labels, column) for name, column in scores.items()}
    drawn = _draws(rankings, len(labels), draws)
    whole = {name: ranking.auc(np.ones(len(labels))) for name, ranking in rankings.items()}
    return {name: _interval(whole[best] - whole[name], drawn[best] - drawn[name]) for name in scores}


def _draws(rankings: Mapping[str, Ranking], rows: int, draws: int) -> dict[str, Floats]:
    generator, progress = np.random.default_rng(_SEED), Progress("bootstrap, draws", draws)
    drawn = {name: np.empty(draws) for name in rankings}
    for draw in range(draws):
        weights = generator.poisson(1.0, rows).astype(np.float64)
        for name, ranking in rankings.items():
            drawn[name][draw] = ranking.auc(weights)
        progress.tell(draw + 1)
    return drawn


def _interval(estimate: float, draws: Floats) -> Interval:
    """Return the interval, without bounds where some draw had no AUC: then nothing is known."""
    low, high = np.percentile(draws, _SIDES) if np.isfinite(draws).all() else (-np.inf, np.inf)
    return Interval(estimate, float(low), float(high))
