"""How values become a row of the model: which column each feature has, and a category's slots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import Any, Literal

import msgspec

from .bundle import Feature, Manifest

LARGEST = 1.0000000150474662e30
"""Largest magnitude of a number: 1e30 as float32 has it, so that all forms of request take the same.

It leaves a float32 graph (up to 3.4e38) room for its sums.
"""

_FLOAT, _BITS = Struct("f"), Struct("I")

Values = tuple[Any, ...]
"""One record, a value for each feature in the manifest's order: float or None, text or None."""

Shape = Literal["records", "columns"]
"""How a request is written, and so its answer."""

STRANGE: tuple[int, Shape] = (0, "records")
"""What a form finds of the ordinary in a request that is not."""


class Caution(msgspec.Struct, frozen=True):
    """A field of an answered record that deserves a second look."""

    field: str
    problem: str


class Layout:
    """One manifest's features: ``numbers`` and ``categories`` are the places of those the model reads.

    ``bounds`` are those of every number by its place, ``slots`` those of every category that the model reads.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.features = manifest.features
        self.limits = manifest.limits
        place = {feature.name: index for index, feature in enumerate(manifest.features)}
        self.numbers = tuple(place[name] for name in manifest.inputs.numbers)
        self.categories = tuple(place[name] for name in manifest.inputs.categories)
        self.slots = {index: slots_of(manifest.features[index]) for index in self.categories}
        self.bounds = {index: bounds(self.features[index]) for index in self.of_kind("number")}
        self.row = Struct(f"{len(self.numbers) + len(self.categories)}f")

    def of_kind(self, kind: str) -> tuple[int, ...]:
        """Return the places of all features of ``kind``, those the model does not read too."""
        return tuple(index for index, feature in enumerate(self.features) if feature.kind == kind)

    def fill(self, rows: memoryview, records: Sequence[Values]) -> None:
        """Write ``records`` into the model's memory, a row each."""
        for index, values in enumerate(records):
            self.row.pack_into(rows, index * self.row.size, *self._row(values))

    def _row(self, values: Values) -> list[float]:
        numbers = [math.nan if values[index] is None else values[index] for index in self.numbers]
        return numbers + [self.slots[index].get(values[index], 0.0) for index in self.categories]

    def cautions(self, values: Values) -> list[Caution]:
        """Return what in one record the model has not been made for."""
        found = (self._caution(index, value) for index, value in enumerate(values))
        return [caution for caution in found if caution is not None]

    def _caution(self, index: int, value: Any) -> Caution | None:
        feature = self.features[index]
        if feature.kind == "number":
            return out_of_bounds(feature, value, *self.bounds[index])
        # A category that the model does not read has no vocabulary to be missing from.
        if value and value not in self.slots.get(index, {value: 0.0}):
            return Caution(feature.name, "the model has not seen this value in training")
        return None


def slots_of(feature: Feature) -> dict[str | None, float]:
    """Return the slot of each value: from 1 in the vocabulary's order; 0 for a missing value.

    Another spelling of a value has the value's slot.
    """
    slots: dict[str | None, float] = {None: 0.0, "": 0.0}
    known = {value: float(place + 1) for place, value in enumerate(feature.values)}
    spelt = {variant: known[value] for variant, value in feature.spellings.items() if value in known}
    return slots | spelt | known


def bounds(feature: Feature) -> tuple[float, float]:
    """Return between which values, both included, a number is ordinary.

    They are the float32 at or next to the feature's bounds on their outer side: a number at its bound is then
    within it whether it comes as a float64 or as a float32.
    """
    low = -LARGEST if feature.min is None else -_float32_from(-feature.min)
    return low, LARGEST if feature.max is None else _float32_from(feature.max)


def _float32_from(value: float) -> float:
    """Return the least float32 that is not below ``value``, or ±LARGEST for what is beyond it."""
    value = max(-LARGEST, min(value, LARGEST))
    found = float(_FLOAT.unpack(_FLOAT.pack(value))[0])
    if found >= value:
        return found
    bits = _BITS.unpack(_FLOAT.pack(found))[0]  # those of a negative number grow as it falls
    return float(_FLOAT.unpack(_BITS.pack(bits + (1 if found >= 0 else -1)))[0])


def out_of_bounds(feature: Feature, value: float | None, low: float, high: float) -> Caution | None:
    """Say on which side of its bounds, from ``low`` to ``high``, ``value`` lies, in the feature's unit."""
    if value is None or math.isnan(value) or low <= value <= high:
        return None
    side, bound = ("below", low) if value < low else ("above", high)
    return Caution(feature.name, f"{value:g} is {side} {bound:g} {feature.unit}".rstrip())
