"""What a hyperparameter search tries: values drawn at random from a tuning request's ranges, or a grid."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any


def draw(ranges: Mapping[str, Any], dice: random.Random) -> dict[str, str]:
    """Draw one value of each of a request's ParameterRanges, as the texts that a job gets."""
    drawn = {
        each["Name"]: dice.choice(each["Values"]) for each in ranges.get("CategoricalParameterRanges", [])
    }
    for each in ranges.get("IntegerParameterRanges", []):
        drawn[each["Name"]] = str(_whole(each, dice))
    for each in ranges.get("ContinuousParameterRanges", []):
        drawn[each["Name"]] = repr(_between(float(each["MinValue"]), float(each["MaxValue"]), each, dice))
    return drawn


def _whole(where: Mapping[str, str], dice: random.Random) -> int:
    low, high = int(where["MinValue"]), int(where["MaxValue"])
    # Each whole number owns the half on either side of it.
    return min(high, max(low, round(_between(low - 0.499, high + 0.499, where, dice))))


def _between(low: float, high: float, where: Mapping[str, str], dice: random.Random) -> float:
    if where.get("ScalingType") == "Logarithmic":
        return math.exp(dice.uniform(math.log(low), math.log(high)))
    return dice.uniform(low, high)


def trials(config: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Give the hyperparameters of one trial after the other; a grid ends, a random search does not."""
    ranges = config.get("ParameterRanges", {})
    if config["Strategy"] == "Grid":
        named = ranges.get("CategoricalParameterRanges", [])
        names = [each["Name"] for each in named]
        for values in itertools.product(*(each["Values"] for each in named)):
            yield dict(zip(names, values, strict=True))
        return
    dice = random.Random(config.get("RandomSeed", 0))  # noqa: S311 - a search, no secret
    while True:
        yield draw(ranges, dice)
