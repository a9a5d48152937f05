"""The compiled reader of binary requests, kernel.c, with all that it must know of one manifest.

`make setup` compiles it for this machine, bundling for the function's. Where it is not there, the careful way
answers alike, only more slowly.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from os.path import dirname, isfile, join
from typing import Any

from .layout import Layout

LIBRARY = join(dirname(__file__), f"kernel.{sys.platform}-{os.uname().machine}.so")
"""The file for this kind of machine, beside this one: a machine never loads another kind's."""
SLOWLY = "binary requests are answered alike, but many times as slowly"


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
        *((name, ctypes.c_uint64) for name in ("numbers_count", "categories_count", "width")),
        *((name, ctypes.c_void_p) for name in ("numbers", "categories", "words", "texts")),
        *((name, ctypes.c_void_p) for name in ("table", "scratch", "slots", "rows")),
        ("digits", ctypes.c_uint8 * 256),
    )


class KernelError(Exception):
    """The kernel is there and cannot be used. Says why, and what to do."""


class Kernel:
    """Reads the binary bodies of one manifest into the memory of its model."""

    def __init__(self, library: str, layout: Layout, rows: memoryview) -> None:
        self._plan, self._alive = _plan(layout, rows)
        self._address = ctypes.addressof(self._plan)
        prepare, self._read = _functions(library)
        if not prepare(self._address):
            raise KernelError(f"{library} is another version's; compile it again (`make setup` does)")

    def read(self, body: bytes, *, in_base64: bool = False) -> int:
        """Fill the model's rows with a body's records and return how many; 0 for all that is not ordinary."""
        return self._read(self._address, body, len(body), in_base64)


def load(layout: Layout, rows: memoryview) -> tuple[Kernel | None, str]:
    """Return the kernel, and "" or why there is none and what to do about it."""
    if not isfile(LIBRARY):
        return None, f"{LIBRARY} is not there, {SLOWLY}; compile it (`make setup` does) and deploy again"
    try:
        return Kernel(LIBRARY, layout, rows), ""
    except KernelError as error:
        return None, f"{SLOWLY}: {error}"


def _functions(library: str) -> tuple[Callable[..., int], Callable[..., int]]:
    try:
        loaded = ctypes.CDLL(library)
        prepare, read = loaded.millrace_prepare, loaded.millrace_read
    except (OSError, AttributeError) as error:
        raise KernelError(
            f"{library} cannot be loaded: {error}; compile it again (`make setup` does)"
        ) from error
    prepare.argtypes, prepare.restype = (ctypes.c_void_p,), ctypes.c_int32
    read.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32)
    read.restype = ctypes.c_int64
    return prepare, read


def _plan(layout: Layout, rows: memoryview) -> tuple[_Plan, tuple[Any, ...]]:
    """Return the plan, and the memory that it points to."""
    limits, width = layout.limits, len(layout.numbers) + len(layout.categories)
    numbers = _numbers(layout)
    categories, words, texts, seats = _categories(layout)
    size = 8 + limits.records * 4 * len(numbers) + (2 + limits.records * 2) * len(categories) + MOST_TEXT
    size = min(size, limits.body_bytes)
    memory: dict[str, Any] = {
        "numbers": numbers,
        "categories": categories,
        "words": words,
        "texts": texts,
        "table": (ctypes.c_uint32 * seats)(),
        "scratch": (ctypes.c_uint8 * size)(),
        "slots": (ctypes.c_float * limits.records)(),
        "rows": (ctypes.c_uint8 * rows.nbytes).from_buffer(rows),
    }
    if rows.nbytes < limits.records * layout.row.size:
        raise KernelError(f"the model has no memory for {limits.records} records")
    plan = _Plan(
        bytes=ctypes.sizeof(_Plan),
        most_bytes=size,
        most_records=limits.records,
        numbers_count=len(numbers),
        categories_count=len(categories),
        width=width,
        **{name: ctypes.addressof(part) for name, part in memory.items()},
    )
    return plan, tuple(memory.values())


def _numbers(layout: Layout) -> Any:
    columns = {index: column for column, index in enumerate(layout.numbers)}
    return _array(
        _Number,
        [
            _Number(*bounds, columns.get(index, -1), layout.features[index].required)
            for index, bounds in layout.bounds.items()
        ],
    )


def _categories(layout: Layout) -> tuple[Any, Any, Any, int]:
    """Return the categories, the words of all vocabularies, their texts, and the size of the tables."""
    columns = {index: column for column, index in enumerate(layout.categories, len(layout.numbers))}
    categories: list[_Category] = []
    slots: list[float] = []
    texts: list[bytes] = []
    seats = 0
    for index in layout.of_kind("category"):
        vocabulary = [(text, slot) for text, slot in layout.slots.get(index, {}).items() if text]
        size = 2 << len(vocabulary).bit_length()  # at most half full: a search is short
        required = layout.features[index].required
        categories.append(
            _Category(columns.get(index, -1), required, len(texts), len(vocabulary), seats, size)
        )
        slots += [slot for _, slot in vocabulary]
        texts += [text.encode() for text, _ in vocabulary]
        seats += size
    return _array(_Category, categories), _words(slots, texts), _bytes(b"".join(texts)), seats


def _words(slots: Sequence[float], texts: Sequence[bytes]) -> Any:
    starts = accumulate(map(len, texts), initial=0)
    found = zip(starts, map(len, texts), slots, strict=False)  # the last start is the end of all
    return _array(_Word, [_Word(*word) for word in found])


def _array(kind: Any, items: Iterable[Any]) -> Any:
    """Return ``items`` in one piece of memory."""
    listed = list(items)
    return (kind * len(listed))(*listed)


def _bytes(content: bytes) -> Any:
    return (ctypes.c_uint8 * len(content)).from_buffer_copy(content)
