"""How good probabilities are: ranking, loss and calibration, in plain numpy.

Every function takes ``labels`` [N] of zeros and ones and ``scores`` [N], probabilities of a one.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALLEST = 1e-7  # the spacing of float32 below one: a saturated sigmoid costs ln(1e7), not infinity
_BINS = 15  # as in Guo et al.


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Quality of the scores of ``rows`` rows. ``auc`` is NaN where only one class occurs."""

    auc: float
    log_loss: float
    brier: float
    calibration_error: float
    rows: int

    def as_json(self) -> dict[str, float | int | None]:
        """Return the metrics by name; JSON has no NaN, so an undefined one is None."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def measure(labels: ArrayLike, scores: ArrayLike) -> Metrics:
    """Measure ``scores`` [N] against ``labels`` [N]. Raises ValueError on empty, unequal or NaN input."""
    truth, guess = _checked(labels, scores)
    return Metrics(
        auc=auc(truth, guess),
        log_loss=log_loss(truth, guess),
        brier=brier(truth, guess),
        calibration_error=calibration_error(truth, guess),
        rows=len(truth),
    )


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a one scores above a zero, ties counting half.

    Computed from mid-ranks as U / (positives · negatives). Source: Hanley and McNeil, "The meaning and
    use of the area under a receiver operating characteristic (ROC) curve", Radiology 143 (1982).
    """
    truth, guess = _checked(labels, scores)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return math.nan
    _, group, sizes = np.unique(guess, return_inverse=True, return_counts=True)
    midranks = np.cumsum(sizes) - (sizes - 1) / 2
    wins = midranks[group][truth == 1].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def log_loss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean negative log-likelihood, in nats. Source: Good, "Rational Decisions", JRSS B 14 (1952)."""
    truth, guess = _checked(labels, scores)
    guess = np.clip(guess, _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(truth * np.log(guess) + (1 - truth) * np.log1p(-guess)))


def brier(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean squared error. Source: Brier, "Verification of forecasts...", Monthly Weather Review 78 (1950)."""
    truth, guess = _checked(labels, scores)
    return float(np.mean((guess - truth) ** 2))


def calibration_error(labels: ArrayLike, scores: ArrayLike, bins: int = _BINS) -> float:
    """Expected calibration error over ``bins`` bins of equal width.

    The mean over rows of |share of ones - mean score| in the row's bin. Source: Guo et al.,
    "On Calibration of Modern Neural Networks", ICML 2017, equation 3.
    """
    truth, guess = _checked(labels, scores)
    bin_of = np.minimum((guess * bins).astype(np.int64), bins - 1)
    surplus = np.bincount(bin_of, weights=guess - truth, minlength=bins)
    return float(np.abs(surplus).sum() / len(truth))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth = np.asarray(labels, dtype=np.float64)
    guess = np.asarray(scores, dtype=np.float64)
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(
            f"metrics need as many labels as scores, and at least one: got {truth.shape} and {guess.shape}"
        )
    if np.isnan(guess).any():
        raise ValueError(
            f"{int(np.isnan(guess).sum())} of {len(guess)} scores are NaN: the model has diverged"
        )
    return truth, guess
