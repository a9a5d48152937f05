"""Metrics against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.train.metrics import auc, brier, calibration_error, log_loss, measure

ROWS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=2, max_size=40
)


@given(ROWS)
def test_auc_is_the_share_of_pairs_ranked_right_with_ties_counting_half(
    rows: list[tuple[bool, float]],
) -> None:
    ones = [score for label, score in rows if label]
    zeros = [score for label, score in rows if not label]
    found = auc([label for label, _ in rows], [score for _, score in rows])
    if not ones or not zeros:
        assert math.isnan(found)
        return
    wins = sum((one > zero) + (one == zero) / 2 for one in ones for zero in zeros)
    assert found == pytest.approx(wins / (len(ones) * len(zeros)))


def test_log_loss_of_a_coin_is_ln_2_and_a_sure_error_costs_much_but_not_infinity() -> None:
    assert log_loss([0, 1], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert 10 < log_loss([1], [0.0]) < 20


def test_brier_is_the_mean_squared_error() -> None:
    assert brier([0, 1, 1], [0.0, 0.5, 1.0]) == pytest.approx(0.25 / 3)


def test_calibration_error_weighs_each_bins_gap_by_its_rows() -> None:
    # Given three rows around 0.2 of which one is a one, and one row at 1.0 that is a zero
    error = calibration_error([0, 0, 1, 0], [0.2, 0.2, 0.2, 1.0], bins=10)
    # Then the gaps are |1/3 - 0.2| on three rows and 1 on one
    assert error == pytest.approx((3 * (1 / 3 - 0.2) + 1) / 4)


def test_scores_equal_to_the_shares_are_calibrated() -> None:
    labels = np.array([0, 0, 0, 1] * 25)
    assert calibration_error(labels, np.full(100, 0.25)) == pytest.approx(0)


def test_an_undefined_auc_is_null_in_json() -> None:
    assert measure([0, 0], [0.1, 0.2]).as_json()["auc"] is None


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], "at least one"),
        ([0, 1], [0.5], "as many labels"),
        ([0, 1], [0.5, math.nan], "1 of 2 scores are NaN"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(labels, scores)
