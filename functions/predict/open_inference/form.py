"""Requests in tensors: one for each feature, or one matrix of them all.

The quick way takes what most programs send, all of it ordinary; the careful way takes all that is lawful, and
names what is not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec

from ..explain import kind_of, refused
from ..layout import STRANGE, Layout, Shape, Values
from ..problem import Problem, too_many
from .asked import Asked, Tensor, refuse_unsupported
from .columns import Numbers, Strange, columns_of, datatype_of, takes, unpacker
from .tensors import FORMATS, RANGES, TEXT, check_size, count_of, flat, is_beyond, is_of, numbers, texts

UNSET = msgspec.UNSET
MATRIX = "rows"
"""Name of the input that holds all features: BYTES [n, features], or numbers where there is no category."""

Data = Sequence[Any]


class TensorForm:
    """Reads the tensors of one manifest."""

    def __init__(self, layout: Layout, rows: memoryview) -> None:
        self._layout, self._rows = layout, rows
        self._places = {feature.name: place for place, feature in enumerate(layout.features)}
        self._columns = columns_of(layout)
        self._required = sum(column.bit for column in self._columns if column.required)
        self._model_reads = [(column, column.target) for column in self._columns if column.target is not None]

    # ---- the quick way ------------------------------------------------------------------------

    def ordinary(self, asked: Asked) -> tuple[int, Shape]:
        """Fill the model's memory and return the number of records; 0 where anything is not ordinary."""
        if not asked.ordinary:
            return STRANGE
        try:
            return self._fill(asked), "columns"
        except (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error):
            return STRANGE

    def _fill(self, asked: Asked) -> int:
        count = int(asked.request.inputs[0].shape[0])
        if not 0 < count <= self._layout.limits.records:
            raise Strange
        # Equally long, each checked for it, so that the rows are one call away.
        rows = zip(*self._columns_of(asked, count), strict=False)
        unpacker("f", count * len(self._model_reads)).pack_into(self._rows, 0, *chain.from_iterable(rows))
        return count

    def _columns_of(self, asked: Asked, count: int) -> list[Numbers]:
        """Return the columns of the rows in their order. Raises Strange."""
        columns, body, at, seen = self._columns, asked.body, asked.start, 0
        found: list[Numbers] = [()] * len(self._model_reads)
        for tensor in asked.request.inputs:
            column, shape = columns[tensor.place], tensor.shape
            if seen & column.bit or shape[0] != count or (len(shape) > 1 and shape[1:] != [1]):
                raise Strange
            seen |= column.bit
            size, data = tensor.parameters.binary_data_size, tensor.data
            if size < 0:
                if len(data) != count:
                    raise Strange
                numbers = column.of_json(data, tensor.datatype)
            else:
                if data is not UNSET or at + size > len(body):
                    raise Strange
                numbers = column.of_bytes(body, at, size, count, tensor.datatype)
                at += size
            if column.target is not None:
                found[column.target] = numbers
        if at != len(body) or self._required & ~seen:
            raise Strange
        for column, target in self._model_reads:
            if not seen & column.bit:
                found[target] = repeat(column.blank, count)
        return found

    # ---- the careful way ----------------------------------------------------------------------

    def values(self, asked: Asked) -> tuple[Sequence[Values], Shape]:
        """Return the values of each record. Raises Problem 400 or 413, naming each place at fault."""
        columns, count = self._read(asked)
        if not 0 < count <= self._layout.limits.records:
            raise too_many(count, self._layout.limits.records)
        features = self._layout.features
        given = [(features[place].name, column) for place, column in columns.items()]
        records = [
            {name: column[index] for name, column in given if not _missing(column[index])}
            for index in range(count)
        ]
        if problem := refused(records, features):
            raise problem
        names = [feature.name for feature in features]
        return [tuple(map(record.get, names)) for record in records], "columns"

    def _read(self, asked: Asked) -> tuple[dict[int, Data], int]:
        """Return the columns by the features' places, and how many records they have."""
        columns: dict[int, Data] = {}
        counts: dict[str, int] = {}
        at = asked.start
        for tensor in asked.inference().inputs:
            self._check_kind(tensor)
            data, at = _data(tensor, asked.body, at)
            counts[tensor.name] = count_of(tensor.shape, self._width(tensor), tensor.name)
            check_size(tensor.name, len(data), tensor.shape)
            for place, column in self._split(tensor, data):
                if place in columns:
                    raise Problem(400, f"feature `{self._layout.features[place].name}` is sent twice")
                columns[place] = column
        if at != len(asked.body):
            raise Problem(
                400, f"{len(asked.body) - at} bytes follow those that the inputs' `binary_data_size` tell of"
            )
        return columns, _one(counts)

    def _is_matrix(self, tensor: Tensor) -> bool:
        return tensor.name == MATRIX and MATRIX not in self._places

    def _width(self, tensor: Tensor) -> int:
        return len(self._places) if self._is_matrix(tensor) else 1

    def _check_kind(self, tensor: Tensor) -> None:
        refuse_unsupported(tensor.parameters, f"input `{tensor.name}`")
        if tensor.datatype not in FORMATS and tensor.datatype != TEXT:
            taken = ", ".join((*FORMATS, TEXT))
            raise Problem(
                400,
                f"input `{tensor.name}`: there is no datatype `{tensor.datatype}` here; {taken} are taken",
            )
        if self._is_matrix(tensor):
            self._check_matrix(tensor)
            return
        place = self._places.get(tensor.name)
        if place is None:
            names = ", ".join((*self._places, MATRIX))
            raise Problem(400, f"there is no input `{tensor.name}`; this model takes {names}")
        feature = self._layout.features[place]
        if not takes(feature, tensor.datatype):
            wanted = (
                f"{datatype_of(feature)} or another datatype of numbers" if feature.kind == "number" else TEXT
            )
            raise Problem(400, f"input `{tensor.name}` is {tensor.datatype}; it must be {wanted}")

    def _check_matrix(self, tensor: Tensor) -> None:
        texts_too = any(feature.kind == "category" for feature in self._layout.features)
        if texts_too and tensor.datatype != TEXT:
            raise Problem(
                400, f"input `{MATRIX}` is {tensor.datatype}; it must be BYTES, as some features are texts"
            )

    def _split(self, tensor: Tensor, data: Data) -> Iterator[tuple[int, Data]]:
        if not self._is_matrix(tensor):
            yield self._places[tensor.name], data
            return
        width = len(self._places)
        for place, feature in enumerate(self._layout.features):
            column = data[place::width]
            if feature.kind == "number" and tensor.datatype == TEXT:
                column = [_number(text, index, feature.name) for index, text in enumerate(column)]
            yield place, column


def _data(tensor: Tensor, body: bytes, at: int) -> tuple[Data, int]:
    """Return a tensor's elements in one list, and where in ``body`` the next one begins."""
    size = tensor.parameters.binary_data_size
    if size < 0:
        if tensor.data is UNSET:
            raise Problem(400, f"input `{tensor.name}` has neither `data` nor a `binary_data_size`")
        return _checked(tensor, flat(tensor.data)), at
    if tensor.data is not UNSET:
        raise Problem(
            400, f"input `{tensor.name}` has both `data` and a `binary_data_size`; send one of them"
        )
    end = at + size
    if end > len(body):
        raise Problem(400, f"input `{tensor.name}`: its {size} bytes go beyond the end of the body")
    try:
        if tensor.datatype == TEXT:
            return texts(body[at:end]), end
        return numbers(tensor.datatype, memoryview(body)[at:end]), end
    except UnicodeDecodeError:
        raise Problem(400, f"input `{tensor.name}`: a text is not UTF-8") from None
    except (ValueError, TypeError) as error:
        raise Problem(
            400, f"input `{tensor.name}`: its {size} bytes are no whole {tensor.datatype}: {error}"
        ) from None


def _checked(tensor: Tensor, data: Data) -> Data:
    """Return JSON's elements if they are of the tensor's datatype. Raises Problem 400."""
    for index, value in enumerate(data):
        if value is not None and not _is(tensor.datatype, value):
            raise Problem(
                400,
                f"input `{tensor.name}`: element {index} is {_told(value, tensor.datatype)}",
            )
    return [float(value) if isinstance(value, bool) else value for value in data]


def _is(datatype: str, value: Any) -> bool:
    if datatype == TEXT:
        return isinstance(value, str)
    if isinstance(value, bool) or datatype == "BOOL":
        return isinstance(value, bool) and datatype == "BOOL"
    return isinstance(value, int | float) and is_of(datatype, value)


def _told(value: Any, datatype: str) -> str:
    """Say what is wrong with an element that is not of its tensor's datatype."""
    if isinstance(value, int | float) and datatype in RANGES and is_beyond(datatype, value):
        low, high = RANGES[datatype]
        return f"beyond {datatype}, which holds {low:.0f} to {high:.0f}"
    return f"{kind_of(value)}, which is no {datatype}"


def _number(text: str | None, index: int, name: str) -> float | None:
    """Return the number that an element of the matrix spells, as JSON spells numbers."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=float)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Problem(400, f"input `{MATRIX}`: record {index}, `{name}` must spell a number") from None


def _missing(value: Any) -> bool:
    return value is None or value == "" or value != value  # noqa: PLR0124 - NaN


def _one(counts: dict[str, int]) -> int:
    """Return how many records all inputs have. Raises Problem 400 where they differ."""
    if len({*counts.values()}) > 1:
        few = ", ".join(f"`{name}` {count}" for name, count in list(counts.items())[:5])
        raise Problem(400, f"all inputs must hold equally many records; here are {few}")
    return next(iter(counts.values()), 0)
