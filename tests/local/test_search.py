"""What a local search tries: within the request's ranges, and the same again for the same seed."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import pytest

from local.executors.search import draw, trials

RANGES: dict[str, Any] = {
    "CategoricalParameterRanges": [{"Name": "hidden", "Values": ["64", "128,64"]}],
    "IntegerParameterRanges": [{"Name": "embedding", "MinValue": "2", "MaxValue": "5"}],
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.0001", "MaxValue": "0.1", "ScalingType": "Logarithmic"},
        {"Name": "dropout", "MinValue": "0.0", "MaxValue": "0.4", "ScalingType": "Linear"},
    ],
}


@pytest.fixture(scope="module")
def drawn() -> list[dict[str, str]]:
    dice = random.Random(7)
    return [draw(RANGES, dice) for _ in range(400)]


def test_values_lie_within_their_ranges_and_reach_both_ends(drawn: list[dict[str, str]]) -> None:
    assert {each["hidden"] for each in drawn} == {"64", "128,64"}
    assert {each["embedding"] for each in drawn} == {"2", "3", "4", "5"}
    assert all(0.0001 <= float(each["rate"]) <= 0.1 for each in drawn)
    assert all(0 <= float(each["dropout"]) <= 0.4 for each in drawn)


def test_a_logarithmic_range_gives_each_decade_its_share(drawn: list[dict[str, str]]) -> None:
    lowest = sum(float(each["rate"]) < 0.001 for each in drawn) / len(drawn)
    assert lowest == pytest.approx(1 / 3, abs=0.08)


def test_the_same_seed_tries_the_same_again_and_another_one_does_not() -> None:
    def first(seed: int) -> list[dict[str, str]]:
        config = {"Strategy": "Bayesian", "RandomSeed": seed, "ParameterRanges": RANGES}
        return list(islice(trials(config), 3))

    assert first(7) == first(7) != first(8)


def test_a_grid_tries_every_combination_once() -> None:
    named = [{"Name": "a", "Values": ["1", "2"]}, {"Name": "b", "Values": ["x", "y"]}]
    tried = list(trials({"Strategy": "Grid", "ParameterRanges": {"CategoricalParameterRanges": named}}))
    assert tried == [{"a": a, "b": b} for a in "12" for b in "xy"]
