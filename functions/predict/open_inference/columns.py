"""Ordinary tensors as columns of the model's rows: what a feature's tensor gives each row, as numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from ..bundle import Feature
from ..layout import Layout, slots_of
from .tensors import FORMATS, RANGES, TEXT, WHOLE, element

Numbers = Iterable[float]


class Strange(ValueError):  # noqa: N818 - no error: it only ends the quick way
    """Something that the careful way has to look at."""


class Column:
    """One feature: ``target`` is its place in a row, None where the model does not read it.

    ``blank`` stands in a row for a missing value.
    """

    def __init__(self, place: int, feature: Feature, layout: Layout, blank: float) -> None:
        read = (*layout.numbers, *layout.categories)
        self.bit, self.required = 1 << place, feature.required
        self.target = read.index(place) if place in read else None
        self.blank = blank


class NumberColumn(Column):
    """A number feature: NaN where it is missing."""

    def __init__(self, place: int, feature: Feature, layout: Layout) -> None:
        super().__init__(place, feature, layout, math.nan)
        self._low, self._high = layout.bounds[place]
        self._held_by = {
            name for name, (low, high) in RANGES.items() if low <= self._low and self._high <= high
        }

    def of_json(self, values: Sequence[Any], datatype: str) -> Numbers:
        """Return decoded JSON, whose bounds the decoder has checked."""
        given = [value for value in values if value is not None] if None in values else values
        if datatype in WHOLE and not all(map(float.is_integer, given)):
            raise Strange
        if (
            datatype in RANGES
            and datatype not in self._held_by
            and given
            and not _are_within(datatype, given)
        ):
            raise Strange
        return values if given is values else [math.nan if value is None else value for value in values]

    def of_bytes(self, body: bytes, start: int, size: int, count: int, datatype: str) -> Numbers:
        """Return the numbers of ``size`` bytes; raise Strange where one is out of bounds."""
        reader = unpacker(FORMATS[datatype], count)
        if reader.size != size:
            raise Strange
        values = reader.unpack_from(body, start)
        if not self._within(values):
            # A NaN that comes first was taken for their minimum; one that comes later is passed over.
            given = [value for value in values if not math.isnan(value)]
            if given and not self._within(given):
                raise Strange
        if self.required and math.isnan(sum(values)):
            raise Strange
        return values

    def _within(self, values: Sequence[float]) -> bool:
        return bool(self._low <= min(values) and max(values) <= self._high)


class CategoryColumn(Column):
    """A category feature: its text's slot, 0 where it is missing."""

    def __init__(self, place: int, feature: Feature, layout: Layout) -> None:
        super().__init__(place, feature, layout, 0.0)
        slots = layout.slots.get(place)
        self._slots = slots_of(feature) if slots is None else slots
        known = {text for text in self._slots if text or not self.required}
        # By the bytes with which a text is sent, its length included.
        self._elements = {element(text): self._slots[text] for text in known if text is not None}

    def of_json(self, values: Sequence[Any], _datatype: str) -> Numbers:
        """Return the slots of decoded JSON, whose vocabulary the decoder has checked."""
        return () if self.target is None else map(self._slots.__getitem__, values)

    def of_bytes(self, body: bytes, start: int, size: int, count: int, _datatype: str) -> Numbers:
        """Return the slots of the texts in ``size`` bytes; whoever reads them meets KeyError at another."""
        if self.target is None:
            raise Strange
        step = 4 + body[start]
        if step * count == size:  # nearly always: codes are equally long
            return map(self._elements.__getitem__, splitter(step, count).unpack_from(body, start))
        slots = self._one_by_one(body, start, start + size)
        if len(slots) != count:
            raise Strange
        return slots

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


def _are_within(datatype: str, values: Sequence[float]) -> bool:
    """Whether a datatype with bounds holds all values; there must be some, and no NaN."""
    low, high = RANGES[datatype]
    return low <= min(values) and max(values) <= high


@lru_cache(maxsize=512)
def unpacker(form: str, count: int) -> struct.Struct:
    """Return what reads ``count`` numbers."""
    return struct.Struct(f"<{count}{form}")


@lru_cache(maxsize=128)
def splitter(step: int, count: int) -> struct.Struct:
    """Return what cuts bytes into ``count`` pieces of ``step``."""
    return struct.Struct(f"{step}s" * count)


def columns_of(layout: Layout) -> list[NumberColumn | CategoryColumn]:
    """Return a column for each feature."""
    kinds: dict[str, Callable[..., Any]] = {"number": NumberColumn, "category": CategoryColumn}
    return [kinds[feature.kind](place, feature, layout) for place, feature in enumerate(layout.features)]


def datatype_of(feature: Feature) -> str:
    """Return the datatype that the metadata give a feature."""
    return "FP32" if feature.kind == "number" else TEXT


def takes(feature: Feature, datatype: str) -> bool:
    """Whether a feature may be sent as ``datatype``."""
    return datatype in FORMATS if feature.kind == "number" else datatype == TEXT
