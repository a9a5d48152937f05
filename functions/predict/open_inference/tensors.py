"""What a tensor holds: datatypes, and the bytes of the binary extension (little-endian, row by row)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from math import prod
from typing import Any

from ..problem import Problem

TEXT = "BYTES"
FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
"""Datatypes of numbers, and what Python's struct calls them. Lambda's processors are little-endian."""
WHOLE = frozenset(name for name in FORMATS if "INT" in name)
RANGES: dict[str, tuple[float, float]] = {"FP16": (-65504.0, 65504.0)}
"""Least and largest number of a datatype, where it is not the model that sets closer bounds."""
for _name in WHOLE:
    _bits = 8 * struct.calcsize(f"<{FORMATS[_name]}")
    RANGES[_name] = (0, 2**_bits - 1) if _name[0] == "U" else (-(2 ** (_bits - 1)), 2 ** (_bits - 1) - 1)
_LENGTH = struct.Struct("<I")


def is_of(datatype: str, value: float) -> bool:
    """Whether ``value`` is a number of ``datatype``: not too large for it, and whole where it has to be."""
    if datatype in WHOLE and isinstance(value, float) and not value.is_integer():
        return False
    return not is_beyond(datatype, value)


def is_beyond(datatype: str, value: float) -> bool:
    """Whether ``value`` is too large for ``datatype``, or too far below zero; NaN never is."""
    low, high = RANGES.get(datatype, (-math.inf, math.inf))
    return value < low or value > high


def numbers(datatype: str, data: memoryview) -> list[Any]:
    """Return the numbers of a binary tensor. Raises ValueError or TypeError where bytes are left over."""
    form = FORMATS[datatype]
    if form == "?":
        return [_truth(value) for value in data]
    if form == "e":  # which no memoryview can be cast to
        return [value for (value,) in struct.iter_unpack("<e", data)]
    return data.cast(form).tolist()  # type: ignore[call-overload,no-any-return]


def _truth(byte: int) -> float:
    if byte > 1:
        raise ValueError(f"a byte is {byte}, neither 0 nor 1")
    return float(byte)


def texts(data: bytes) -> list[str]:
    """Return the texts of a binary tensor, each of which is its length as uint32, then its UTF-8.

    Raises ValueError, UnicodeDecodeError being one.
    """
    found, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise ValueError("its last element has no whole length")
        start = at + 4
        at = start + int(_LENGTH.unpack_from(data, at)[0])
        if at > len(data):
            raise ValueError("its last element is shorter than its length says")
        found.append(data[start:at].decode())
    return found


def element(text: str) -> bytes:
    """Return one text as the binary extension writes it."""
    content = text.encode()
    return _LENGTH.pack(len(content)) + content


def flat(data: Sequence[Any]) -> list[Any]:
    """Return the elements of lists in lists, row by row."""
    found: list[Any] = []
    waiting = [iter(data)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            found.append(value)
        else:
            waiting.pop()
    return found


def count_of(shape: Sequence[int], width: int, name: str) -> int:
    """Return how many records a shape stands for: [n], or [n, width]. Raises Problem 400."""
    if (len(shape) == 1 and width == 1) or (len(shape) == 2 and shape[1] == width):
        return shape[0]
    wanted = "[n] or [n, 1]" if width == 1 else f"[n, {width}]"
    raise Problem(400, f"input `{name}` has the shape {list(shape)}; it must be {wanted}")


def check_size(name: str, found: int, shape: Sequence[int]) -> None:
    """Raise Problem 400 where a tensor has not as many elements as its shape says."""
    if found != prod(shape):
        raise Problem(
            400, f"input `{name}` has {found} elements where its shape {list(shape)} has {prod(shape)}"
        )
