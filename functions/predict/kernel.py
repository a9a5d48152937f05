"""The compiled reader of requests, kernel.c, with all that it must know of one manifest.

`make setup` compiles it for this machine, bundling for the function's. Where it is not there, the careful way
answers alike, only more slowly.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import repeat
from os.path import dirname, isfile, join
from typing import Any

from .layout import Layout

LIBRARY = join(dirname(__file__), f"kernel.{sys.platform}-{os.uname().machine}.so")
"""The file for this kind of machine, beside this one: a machine never loads another kind's."""
SLOWLY = "requests are answered alike, but more slowly, those in binary many times as slowly"


MOST_TEXT = 65536
"""Bytes that the texts of an ordinary request take at most; memory for more would only cost every start."""


class _Number(ctypes.Structure):
    _fields_ = (
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
        ("column", ctypes.c_int32),
        ("required", ctypes.c_uint32),
    )


class _Category(ctypes.Structure):
    _fields_ = (
        ("column", ctypes.c_int32),
        ("required", ctypes.c_uint32),
        ("first", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("table", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    )


class _Word(ctypes.Structure):
    _fields_ = (("start", ctypes.c_uint32), ("length", ctypes.c_uint32), ("slot", ctypes.c_float))


class _Plan(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("bytes", "most_bytes", "most_records")),
        *(
            (name, ctypes.c_uint64)
            for name in ("numbers_count", "categories_count", "features_count", "width")
        ),
        ("stamp", ctypes.c_uint64),
        *((name, ctypes.c_void_p) for name in ("numbers", "categories", "words", "texts")),
        *((name, ctypes.c_void_p) for name in ("table", "scratch", "slots", "rows", "features")),
        ("names", _Category),
        *((name, ctypes.c_void_p) for name in ("order", "seen")),
        ("digits", ctypes.c_uint8 * 256),
    )


class KernelError(Exception):
    """The kernel is there and cannot be used. Says why, and what to do."""


class Kernel:
    """Reads the bodies of one manifest into the memory of its model."""

    def __init__(self, library: str, layout: Layout, rows: memoryview) -> None:
        self._plan, self._alive = _plan(layout, rows)
        self._address = ctypes.addressof(self._plan)
        prepare, self._read, self._read_json = _functions(library)
        if not prepare(self._address):
            raise KernelError(f"{library} is another version's; compile it again (`make setup` does)")

    def read(self, body: bytes, *, in_base64: bool = False) -> int:
        """Fill the model's rows with a binary body's records; return how many, 0 if any is not ordinary."""
        return self._read(self._address, body, len(body), in_base64)

    def read_json(self, body: bytes) -> int:
        """Fill the model's rows with a JSON body's records and return how many, below 0 if from columns.

        0 for all that is not ordinary: besides what Python finds strange, keys that stand twice, numbers of
        more than 19 digits, and the like.
        """
        return self._read_json(self._address, body, len(body))


def load(layout: Layout, rows: memoryview) -> tuple[Kernel | None, str]:
    """Return the kernel, and "" or why there is none and what to do about it."""
    if not isfile(LIBRARY):
        return None, f"{LIBRARY} is not there, {SLOWLY}; compile it (`make setup` does) and deploy again"
    try:
        return Kernel(LIBRARY, layout, rows), ""
    except KernelError as error:
        return None, f"{SLOWLY}: {error}"


def _functions(library: str) -> tuple[Callable[..., int], Callable[..., int], Callable[..., int]]:
    try:
        loaded = ctypes.CDLL(library)
        prepare, read, read_json = (
            getattr(loaded, f"millrace_{name}") for name in ("prepare", "read", "read_json")
        )
    except (OSError, AttributeError) as error:
        raise KernelError(
            f"{library} cannot be loaded: {error}; compile it again (`make setup` does)"
        ) from error
    body = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
    prepare.argtypes, prepare.restype = (ctypes.c_void_p,), ctypes.c_int32
    read.argtypes, read.restype = (*body, ctypes.c_int32), ctypes.c_int64
    read_json.argtypes, read_json.restype = body, ctypes.c_int64
    return prepare, read, read_json


def _plan(layout: Layout, rows: memoryview) -> tuple[_Plan, tuple[Any, ...]]:
    """Return the plan, and the memory that it points to."""
    limits, width = layout.limits, len(layout.numbers) + len(layout.categories)
    if rows.nbytes < limits.records * layout.row.size:
        raise KernelError(f"the model has no memory for {limits.records} records")
    words = _Words()
    numbers, categories = _numbers(layout), _array(_Category, _categories(layout, words))
    names = words.add([feature.name for feature in layout.features])
    features = len(layout.features)
    size = 8 + limits.records * 4 * len(numbers) + (2 + limits.records * 2) * len(categories) + MOST_TEXT
    size = min(size, limits.body_bytes)
    memory: dict[str, Any] = {
        "numbers": numbers,
        "categories": categories,
        "words": _array(_Word, words.found),
        "texts": (ctypes.c_uint8 * len(words.texts)).from_buffer(words.texts),
        "table": (ctypes.c_uint32 * words.seats)(),
        "scratch": (ctypes.c_uint8 * size)(),
        "slots": (ctypes.c_float * limits.records)(),
        "rows": (ctypes.c_uint8 * rows.nbytes).from_buffer(rows),
        "features": _array(ctypes.c_int32, _places(layout)),
        "order": _array(ctypes.c_int32, range(features)),
        "seen": (ctypes.c_uint64 * features)(),
    }
    plan = _Plan(
        bytes=ctypes.sizeof(_Plan),
        most_bytes=size,
        most_records=limits.records,
        numbers_count=len(numbers),
        categories_count=len(categories),
        features_count=features,
        width=width,
        names=names,
        **{name: ctypes.addressof(part) for name, part in memory.items()},
    )
    return plan, tuple(memory.values())


def _places(layout: Layout) -> list[int]:
    """Return each feature's place among the numbers, or that among the categories, from -1 down."""
    places: dict[int, int] = {index: place for place, index in enumerate(layout.of_kind("number"))}
    places |= {index: ~place for place, index in enumerate(layout.of_kind("category"))}
    return [places[index] for index in range(len(layout.features))]


def _numbers(layout: Layout) -> Any:
    columns = {index: column for column, index in enumerate(layout.numbers)}
    return _array(
        _Number,
        [
            _Number(*bounds, columns.get(index, -1), layout.features[index].required)
            for index, bounds in layout.bounds.items()
        ],
    )


def _categories(layout: Layout, words: _Words) -> Iterator[_Category]:
    """Yield all categories, each with its vocabulary among the words; empty where the model reads none."""
    columns = {index: column for column, index in enumerate(layout.categories, len(layout.numbers))}
    for index in layout.of_kind("category"):
        vocabulary = {text: slot for text, slot in layout.slots.get(index, {}).items() if text}
        required = layout.features[index].required
        yield words.add(vocabulary, vocabulary.values(), columns.get(index, -1), required=required)


class _Words:
    """The words of all vocabularies after each other, and how large the tables are that they are found by."""

    def __init__(self) -> None:
        self.found: list[_Word] = []
        self.texts = bytearray()
        self.seats = 0

    def add(
        self,
        texts: Collection[str],
        slots: Iterable[float] = repeat(0.0),
        column: int = -1,
        *,
        required: bool = False,
    ) -> _Category:
        first, table, size = len(self.found), self.seats, 2 << len(texts).bit_length()  # at most half full
        for text, slot in zip(texts, slots, strict=False):
            content = text.encode()
            self.found.append(_Word(len(self.texts), len(content), slot))
            self.texts += content
        self.seats += size
        return _Category(column, required, first, len(texts), table, size)


def _array(kind: Any, items: Iterable[Any]) -> Any:
    """Return ``items`` in one piece of memory."""
    listed = list(items)
    return (kind * len(listed))(*listed)
