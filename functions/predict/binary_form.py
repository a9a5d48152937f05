"""Requests in binary, for callers who send many records: float32 numbers, and texts as codes into a list.

All integers and floats are little-endian; n is the number of records, a that of the number features, b that
of the category features, both in the order that ``GET /v1/models/{model}`` lists under ``binary``:

    4 bytes       the letters MRB1
    uint32        n
    uint16 × b    t[k]: how many texts the k-th category has in this request
    float32 × n·a the numbers, record by record; NaN where one is missing
    uint16 × b·n  the categories, column by column: each the place of its text among the column's t[k]
    the rest      the texts in UTF-8, column by column, a zero byte between two; an empty one is missing

The compiled kernel reads what is ordinary in one go; for all else, and where there is no kernel, Python takes
a body apart and names each place at fault.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import lt
from typing import Any

import msgspec

from .explain import refused
from .kernel import Kernel
from .layout import STRANGE, Layout, Shape, Values
from .problem import Problem, too_many

MAGIC = b"MRB1"


class Parts(msgspec.Struct, frozen=True):
    """A body taken apart: by record its numbers, by category its codes and its texts."""

    numbers: list[tuple[float, ...]]
    codes: list[tuple[int, ...]]
    texts: list[list[str]]


class BinaryForm:
    """Reads the binary bodies of one manifest."""

    def __init__(self, layout: Layout, kernel: Kernel | None) -> None:
        self._layout, self.kernel = layout, kernel
        self._numbers, self._categories = layout.of_kind("number"), layout.of_kind("category")
        self._head = struct.Struct(f"<4sI{len(self._categories)}H")

    def ordinary(self, body: bytes) -> tuple[int, Shape]:
        """Fill the model's memory with the body's records and return their number; 0 as in JSON's form."""
        return (self.kernel.read(body), "records") if self.kernel else STRANGE

    def _parts(self, body: bytes) -> Parts:
        """Take the body apart; raise Problem where its sizes do not fit together."""
        a, b = len(self._numbers), len(self._categories)
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
        numbers = list(_slices(struct.unpack_from(f"<{count * a}f", body, self._head.size), count, a))
        codes = list(_slices(struct.unpack_from(f"<{count * b}H", body, codes_at), b, count))
        texts = self._texts(body[texts_at:], sizes)
        if count and not all(map(lt, map(max, codes), sizes)):
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
        codes = zip(*parts.codes, strict=True) if parts.codes else [()] * len(parts.numbers)
        records = [self._record(*pair, parts.texts) for pair in zip(parts.numbers, codes, strict=True)]
        if problem := refused(records, self._layout.features):
            raise problem
        names = [feature.name for feature in self._layout.features]
        return [tuple(map(record.get, names)) for record in records], "records"

    def _record(
        self, numbers: tuple[float, ...], codes: tuple[int, ...], texts: list[list[str]]
    ) -> dict[str, Any]:
        """Return one record as JSON would have it: what is missing is left out."""
        features = self._layout.features
        named: dict[str, Any] = {
            features[index].name: value for index, value in zip(self._numbers, numbers, strict=True)
        }
        given = [column[code] for column, code in zip(texts, codes, strict=True)]
        named |= {features[index].name: text for index, text in zip(self._categories, given, strict=True)}
        return {name: value for name, value in named.items() if value != "" and not _missing(value)}


def _missing(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _slices(values: tuple[Any, ...], count: int, size: int) -> Iterator[tuple[Any, ...]]:
    """Yield ``count`` slices of ``size`` values each."""
    return (values[place * size : (place + 1) * size] for place in range(count))
