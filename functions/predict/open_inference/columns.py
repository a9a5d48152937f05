"""Ordinary tensors into the model's memory, a column at a time: rows are strided, so no value is touched."""

from __future__ import annotations

import math
from array import array
from typing import Any

import msgspec

from ..bundle import Feature
from ..layout import Layout, bounds, slots_of
from .tensors import FORMATS, TEXT, element, numbers

UNSET = msgspec.UNSET


class Strange(ValueError):  # noqa: N818 - no error: it only ends the quick way
    """Something that the careful way has to look at."""


class Column:
    """One feature's place in the rows: ``target`` is None where the model does not read it."""

    def __init__(
        self, place: int, feature: Feature, layout: Layout, rows: memoryview[float], blank: float
    ) -> None:
        read = (*layout.numbers, *layout.categories)
        self.bit, self.required = 1 << place, feature.required
        self._target = read.index(place) if place in read else None
        self._width, self._rows = len(read), rows
        self._blanks = array("f", [blank]) * layout.limits.records

    def leave_out(self, count: int) -> None:
        """Write what stands for a missing value into the first ``count`` rows."""
        self._write(self._blanks[:count])

    def _write(self, values: Any) -> None:
        """Write float32 values, one for each row."""
        target, width = self._target, self._width
        if target is not None:
            self._rows[target : target + len(values) * width : width] = values


class NumberColumn(Column):
    """A number feature: NaN where it is missing."""

    def __init__(self, place: int, feature: Feature, layout: Layout, rows: memoryview[float]) -> None:
        super().__init__(place, feature, layout, rows, math.nan)
        self._low, self._high = bounds(feature)

    def take(self, values: list[Any], datatype: str) -> None:
        """Write decoded JSON, whose bounds the decoder has checked."""
        if datatype[0] != "F" and not all(value is None or value.is_integer() for value in values):
            raise Strange
        try:
            self._write(array("f", values))
        except TypeError:
            self._write(array("f", [math.nan if value is None else value for value in values]))

    def take_binary(self, body: bytes, start: int, end: int, count: int, datatype: str) -> None:
        """Write the numbers at ``body[start:end]``."""
        data = memoryview(body)[start:end]
        values = numbers(datatype, data)
        if len(values) != count or not self._usual(values):
            raise Strange
        self._write(data.cast("f") if datatype == "FP32" else array("f", values))

    def _usual(self, values: list[Any]) -> bool:
        """Whether all values are within their bounds, or NaN where that is allowed."""
        low, high = self._low, self._high
        # A NaN that comes first is their minimum, one that comes later is passed over.
        within = low <= min(values) and max(values) <= high
        if not within:
            within = all(low <= value <= high or value != value for value in values)  # noqa: PLR0124 - NaN
        return within and not (self.required and math.isnan(sum(values)))


class CategoryColumn(Column):
    """A category feature: its text's slot, 0 where it is missing."""

    def __init__(self, place: int, feature: Feature, layout: Layout, rows: memoryview[float]) -> None:
        super().__init__(place, feature, layout, rows, 0.0)
        slots = layout.slots.get(place)
        self._slots = slots_of(feature) if slots is None else slots
        # By the bytes with which a text is sent, its length included; a required text is not empty.
        known = {
            text: slot for text, slot in self._slots.items() if text or (text == "" and not self.required)
        }
        self._elements = {element(str(text)): slot for text, slot in known.items()}

    def take(self, values: list[Any], _datatype: str) -> None:
        """Write decoded JSON, whose vocabulary the decoder has checked."""
        if self._target is not None:
            self._write(array("f", [self._slots[value] for value in values]))

    def take_binary(self, body: bytes, start: int, end: int, count: int, _datatype: str) -> None:
        """Write the slots of the texts at ``body[start:end]``; raise KeyError where one is not known."""
        if self._target is None:
            raise Strange
        step = 4 + body[start]
        if step * count == end - start:
            found = body[start:end]
            slots = [self._elements[found[at : at + step]] for at in range(0, end - start, step)]
        else:
            slots = self._one_by_one(body, start, end)
        if len(slots) != count:
            raise Strange
        self._write(array("f", slots))

    def _one_by_one(self, body: bytes, start: int, end: int) -> list[float]:
        elements, slots = self._elements, []
        while start < end:
            # A length beyond a byte makes bytes that are no known element.
            stop = start + 4 + body[start]
            slots.append(elements[body[start:stop]])
            start = stop
        if start != end:
            raise Strange
        return slots


def columns_of(layout: Layout, rows: memoryview[float]) -> list[NumberColumn | CategoryColumn]:
    """Return a column for each feature; ``rows`` is the model's memory, float32."""
    return [
        (NumberColumn if feature.kind == "number" else CategoryColumn)(place, feature, layout, rows)
        for place, feature in enumerate(layout.features)
    ]


def datatype_of(feature: Feature) -> str:
    """Return the datatype that the metadata give a feature."""
    return "FP32" if feature.kind == "number" else TEXT


def takes(feature: Feature, datatype: str) -> bool:
    """Whether a feature may be sent as ``datatype``."""
    return datatype in FORMATS if feature.kind == "number" else datatype == TEXT
