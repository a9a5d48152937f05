"""Requests in binary, for callers who send many records: float32 numbers, and texts as codes into a list.

All integers and floats are little-endian; n is the number of records, a that of the number features, b that
of the category features, both in the order that ``GET /v1/models/{model}`` lists under ``binary``:

    4 bytes       the letters MRB1
    uint32        n
    uint16 × b    t[k]: how many texts the k-th category has in this request
    float32 × n·a the numbers, record by record; NaN where one is missing
    uint16 × b·n  the categories, column by column: each the place of its text among the column's t[k]
    the rest      the texts in UTF-8, column by column, a zero byte between two; an empty one is missing

numpy is imported at the first such request, so that nobody else waits for it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import accumulate
from operator import lt
from typing import TYPE_CHECKING, Any

from .explain import refused
from .layout import STRANGE, Layout, Shape, Values, bounds
from .problem import Problem, too_many

if TYPE_CHECKING:  # the bundle leaves numpy.typing out
    import numpy as np
    from numpy.typing import NDArray

MAGIC = b"MRB1"


class Parts:
    """A body taken apart: ``numbers`` float32 [n, a], ``codes`` uint16 [b, n], ``texts`` by category."""

    def __init__(
        self, numbers: NDArray[np.float32], codes: NDArray[np.uint16], texts: list[list[str]]
    ) -> None:
        self.numbers, self.codes, self.texts = numbers, codes, texts


class BinaryForm:
    """Reads the binary bodies of one manifest."""

    def __init__(self, layout: Layout, rows: memoryview) -> None:
        import numpy as np  # noqa: PLC0415 - only here is it worth its time

        self._np, self._layout = np, layout
        width = len(layout.numbers) + len(layout.categories)
        self._rows = np.frombuffer(rows, np.float32).reshape(-1, width)
        self._numbers, self._categories = layout.of_kind("number"), layout.of_kind("category")
        self._head = struct.Struct(f"<4sI{len(self._categories)}H")
        self._read_numbers = _places(layout.numbers, self._numbers)
        self._read_codes = _places(layout.categories, self._categories)
        self._build_limits()
        self._slots = [layout.slots.get(index) for index in self._categories]

    def _build_limits(self) -> None:
        """Bounds as large as the largest request, so that a comparison is one pass over memory."""
        shape = (self._layout.limits.records, 1)
        features = [self._layout.features[index] for index in self._numbers]
        limits = [bounds(feature) for feature in features]
        self._low, self._high = (
            self._np.tile(self._np.array(side, self._np.float32), shape)
            for side in (zip(*limits, strict=True) if limits else ((), ()))
        )
        self._outside, self._other = (self._np.empty(self._low.shape, bool) for _ in range(2))
        self._required = self._np.tile(
            self._np.array([feature.required for feature in features], bool), shape
        )

    def ordinary(self, body: bytes) -> tuple[int, Shape]:
        """Fill the model's memory with the body's records and return their number; 0 as in JSON's form."""
        try:
            parts = self._parts(body)
            count = len(parts.numbers)
            if not count or self._unusual(parts.numbers, count):
                return STRANGE
            slots = self._slots_of(parts) if parts.texts else None
        except (Problem, KeyError, IndexError):
            return STRANGE
        rows, width = self._rows[:count], len(self._layout.numbers)
        rows[:, :width] = (
            parts.numbers if self._read_numbers is None else parts.numbers[:, self._read_numbers]
        )
        if slots is not None:
            rows[:, width:] = slots if self._read_codes is None else slots[:, self._read_codes]
        return count, "records"

    def _unusual(self, numbers: NDArray[np.float32], count: int) -> bool:
        np, outside, other = self._np, self._outside[:count], self._other[:count]
        np.less(numbers, self._low[:count], out=outside)
        np.greater(numbers, self._high[:count], out=other)
        np.logical_or(outside, other, out=outside)
        np.isnan(numbers, out=other)
        np.logical_and(other, self._required[:count], out=other)
        np.logical_or(outside, other, out=outside)
        return bool(outside.any())

    def _slots_of(self, parts: Parts) -> NDArray[np.float32]:
        """Return slots [n, b], not contiguous; those of a category that the model does not read are 0."""
        found = [
            slot
            for feature, table, texts in zip(self._categories, self._slots, parts.texts, strict=True)
            for slot in (
                [0.0] * len(texts) if table is None else map(table.__getitem__, self._given(feature, texts))
            )
        ]
        starts = self._np.array([[0], *([end] for end in accumulate(map(len, parts.texts)))][:-1])
        slots: NDArray[np.float32] = self._np.array(found, self._np.float32).take(parts.codes + starts)
        return slots.T

    def _given(self, feature: int, texts: list[str]) -> list[str]:
        """Return ``texts``; raise KeyError where one is empty that may not be."""
        if self._layout.features[feature].required and "" in texts:
            raise KeyError("")
        return texts

    def _parts(self, body: bytes) -> Parts:
        """Take the body apart; raise Problem where its sizes do not fit together."""
        np, a, b = self._np, len(self._numbers), len(self._categories)
        limits = self._layout.limits
        if len(body) > limits.body_bytes:
            raise Problem(413, f"The body has {len(body)} bytes; at most {limits.body_bytes} are taken.")
        if len(body) < self._head.size or not body.startswith(MAGIC):
            raise Problem(400, f"The body does not begin with {MAGIC.decode()} and its counts.")
        _, count, *sizes = self._head.unpack_from(body)
        if count > limits.records:
            raise too_many(count, limits.records)
        codes_at = self._head.size + 4 * count * a
        texts_at = codes_at + 2 * count * b
        if len(body) < texts_at:
            raise Problem(
                400, f"The body ends early: {count} records need {texts_at} bytes before their texts."
            )
        numbers = np.frombuffer(body, "<f4", count * a, self._head.size).reshape(count, a)
        codes = np.frombuffer(body, "<u2", count * b, codes_at).reshape(b, count)
        texts = self._texts(body[texts_at:], sizes)
        if count and not all(map(lt, codes.max(axis=1).tolist(), sizes)):
            raise Problem(400, "A category's code is not below the number of texts of its column.")
        return Parts(numbers, codes, texts)

    @staticmethod
    def _texts(rest: bytes, sizes: Sequence[int]) -> list[list[str]]:
        try:
            texts = rest.decode().split("\0") if rest or sum(sizes) else []
        except UnicodeDecodeError as error:
            raise Problem(400, f"The texts are not UTF-8: their byte {error.start} is at fault.") from None
        if len(texts) != sum(sizes):
            raise Problem(400, f"There are {len(texts)} texts where the counts promise {sum(sizes)}.")
        ends = list(accumulate(sizes))
        return [texts[end - size : end] for size, end in zip(sizes, ends, strict=True)]

    def values(self, body: bytes) -> tuple[Sequence[Values], Shape]:
        """Return the values of each record; raise Problem 400 or 413, naming each place at fault."""
        parts = self._parts(body)
        if not len(parts.numbers):
            raise too_many(0, self._layout.limits.records)
        pairs = zip(parts.numbers, parts.codes.T, strict=True)
        records = [self._record(*pair, parts.texts) for pair in pairs]
        if problem := refused(records, self._layout.features):
            raise problem
        names = [feature.name for feature in self._layout.features]
        return [tuple(map(record.get, names)) for record in records], "records"

    def _record(self, numbers: Any, codes: Any, texts: list[list[str]]) -> dict[str, Any]:
        """Return one record as JSON would have it: what is missing is left out."""
        features = self._layout.features
        named = {
            features[index].name: value for index, value in zip(self._numbers, numbers.tolist(), strict=True)
        }
        given = [column[code] for column, code in zip(texts, codes.tolist(), strict=True)]
        named |= {features[index].name: text for index, text in zip(self._categories, given, strict=True)}
        return {name: value for name, value in named.items() if value != "" and not _missing(value)}


def _missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _places(read: Sequence[int], sent: Sequence[int]) -> list[int] | None:
    """Return where in ``sent`` the columns ``read`` are; None where they are the same."""
    return None if tuple(read) == tuple(sent) else [sent.index(index) for index in read]
