"""The model before and around training."""

from __future__ import annotations

import math

import pytest
import torch

from contract.schema import Training
from training.train.encoding import Category, Encoding, Number
from training.train.loop import learning_rate
from training.train.model import Categories, Numbers, Tabular

SIZE = Number(name="size", median=3.0, mean=2.0, std=2.0, gaps=True, knots=(0.0, 2.0, 6.0))
COLOUR = Category(name="colour", values=("red", "blue"))


def test_an_untrained_model_answers_the_prior() -> None:
    model = Tabular(Encoding(numbers=(SIZE,), categories=(COLOUR,)), Training(), prior=0.2).eval()
    odds = model(torch.tensor([[1.0], [math.nan]]), torch.tensor([[0], [2]]))
    assert torch.sigmoid(odds).tolist() == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("value", "prepared"),
    [
        (3.0, [0.5, 0.0, 1.0, 0.25]),  # scaled, gap, first bend, second bend
        (math.nan, [0.5, 1.0, 1.0, 0.25]),  # the median, and a flag
        (-1000.0, [-6.0, 0.0, 0.0, 0.0]),
        (1000.0, [6.0, 0.0, 1.0, 1.0]),
    ],
)
def test_numbers_are_imputed_scaled_flagged_and_bent(value: float, prepared: list[float]) -> None:
    assert Numbers([SIZE])(torch.tensor([[value]])).tolist() == [pytest.approx(prepared)]


def test_columns_share_a_table_without_sharing_rows() -> None:
    categories = Categories([3, 2], size=4)
    first = categories(torch.tensor([[1, 0]]))
    assert first.shape == (1, 8)
    assert first[0, 4:].tolist() == [0, 0, 0, 0], "slot 0 counts as no evidence"
    assert torch.equal(first[0, :4], categories.table.weight[1])
    assert torch.equal(categories(torch.tensor([[0, 1]]))[0, 4:], categories.table.weight[4])


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(step, 100, 0.1) for step in range(101)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.1)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak + 1 :] == sorted(rates[peak + 1 :], reverse=True)
    assert rates[-1] == pytest.approx(0)
