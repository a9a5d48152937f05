"""Values that are answered, but that the model has not been made for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from .bundle import Feature, Manifest
from .decode import Row

if TYPE_CHECKING:  # the bundle leaves numpy.typing out
    from numpy.typing import NDArray


class Caution(msgspec.Struct, frozen=True):
    """A field of an answered record that deserves a second look."""

    field: str
    problem: str


class Plausibility:
    """Bounds of the numbers and vocabularies of the categories of one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._numbers = manifest.ordered("number")
        self._low = _bounds([feature.min for feature in self._numbers], -math.inf)
        self._high = _bounds([feature.max for feature in self._numbers], math.inf)
        self._categories = manifest.ordered("category")
        self._known = [(feature, frozenset((*feature.values, ""))) for feature in self._categories]
        # A category the model does not read has no vocabulary to be missing from.
        self._read = len(manifest.inputs.categories)

    def warnings(
        self, rows: list[Row], numbers: NDArray[np.float32], categories: list[list[str]]
    ) -> list[list[Caution]]:
        """Return the warnings of each row; ``numbers`` [N, n] and ``categories`` hold the same values."""
        unseen = [self._unseen(row) for row in categories]
        outside = (numbers < self._low) | (numbers > self._high)
        if outside.any():
            for row, column in np.argwhere(outside).tolist():
                unseen[row].append(out_of_bounds(self._numbers[column], rows[row][column]))
        return unseen

    def _unseen(self, row: list[str]) -> list[Caution]:
        return [
            Caution(feature.name, "the model has not seen this value in training")
            for (feature, known), value in zip(self._known[: self._read], row, strict=False)
            if value not in known
        ]


def _bounds(values: Sequence[float | None], otherwise: float) -> NDArray[np.float32]:
    return np.array([otherwise if value is None else value for value in values], dtype=np.float32)


def out_of_bounds(feature: Feature, value: float) -> Caution:
    """Say on which side of its bounds ``value`` lies, in the feature's unit."""
    below = feature.min is not None and value < feature.min
    bound = feature.min if below else feature.max
    problem = f"{value:g} is {'below' if below else 'above'} {bound:g} {feature.unit}".rstrip()
    return Caution(feature.name, problem)
