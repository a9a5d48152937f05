"""The gate, as a table."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from contract.schema import Budget, Floor
from training.package.gate import Challenger, Champion, Parity, judge
from training.train.metrics import Metrics

TEST = Metrics(auc=0.72, log_loss=0.5, brier=0.16, calibration_error=0.02, rows=1000)
FINE = Challenger(test=TEST, parity=Parity(max_abs_difference=1e-7, rows=1000), bytes=50_000)
FLOOR, BUDGET = Floor(auc=0.70), Budget(bytes=100_000, parity=1e-5, auc_loss=0.002)


def with_auc(auc: float) -> Challenger:
    return replace(FINE, test=replace(TEST, auc=auc))


def with_parity(difference: float) -> Challenger:
    return replace(FINE, parity=Parity(max_abs_difference=difference, rows=1000))


def champion(auc: float) -> Champion:
    return Champion(version="r1", test=replace(TEST, auc=auc))


@pytest.mark.parametrize(
    ("challenger", "champion", "reason"),
    [
        (FINE, None, ""),
        (with_auc(0.70), None, ""),
        (with_auc(0.6999), None, "test AUC 0.6999 is below the contract's floor of 0.7000"),
        (with_auc(math.nan), None, "all of one class"),
        (with_parity(1e-5), None, ""),
        (with_parity(1.1e-5), None, "differ from the model's by up to 1.1e-05"),
        (with_parity(math.inf), None, "differ from the model's by up to inf"),
        (
            replace(FINE, bytes=100_001),
            None,
            "the graphs have 100001 bytes together; the contract's budget allows 100000",
        ),
        (FINE, champion(0.70), ""),
        (FINE, champion(0.7219), ""),
        (FINE, champion(0.7231), "0.0031 below champion r1's 0.7231 on the same 1000 rows"),
        (FINE, champion(math.nan), ""),
    ],
)
def test_the_gate(challenger: Challenger, champion: Champion | None, reason: str) -> None:
    verdict = judge(challenger, FLOOR, BUDGET, champion)
    assert verdict.passed is (not reason)
    assert reason in "".join(verdict.reasons)


def test_every_reason_is_given() -> None:
    worst = Challenger(test=replace(TEST, auc=0.5), parity=Parity(max_abs_difference=1, rows=9), bytes=10**9)
    assert len(judge(worst, FLOOR, BUDGET, champion(0.8)).reasons) == 4


def test_a_champion_that_cannot_be_compared_is_remarked_and_refuses_nothing() -> None:
    verdict = judge(FINE, FLOOR, BUDGET, Champion(version="r1", test=None, obstacle="it needs gust"))
    assert verdict.passed
    assert verdict.remarks == ("not compared with champion r1: it needs gust",)
