"""What rounds of one measurement say together: the median, and an interval around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from benchmarks.charts import Bar, Limit

CERTAINTY = 0.95


@dataclass(frozen=True)
class Spread:
    """The median of some rounds between ``low`` and ``high``."""

    median: float
    low: float
    high: float

    def bar(self, name: str, limit: Limit | None = None) -> Bar:
        """Return it as a bar of a chart."""
        return Bar(name=name, value=self.median, low=self.low, high=self.high, limit=limit)


def spread(values: Sequence[float]) -> Spread:
    """Return the median of ``values`` with the interval that holds it at 95 %, whatever the distribution.

    The interval lies between two of the sorted values, as many from either end as the binomial
    distribution allows; below six values it is all of them, and less certain. Source: Conover, "Practical
    Nonparametric Statistics", section 3.2. Raises ValueError without values.
    """
    if not values:
        raise ValueError("no rounds to take the median of; run at least one")
    ordered = sorted(values)
    rounds = len(ordered)
    outside, left_out = 0.5**rounds, 0
    while left_out + 1 < rounds / 2:
        outside += comb(rounds, left_out + 1) * 0.5**rounds
        if 2 * outside > 1 - CERTAINTY:
            break
        left_out += 1
    return Spread(median(ordered), ordered[left_out], ordered[rounds - 1 - left_out])
