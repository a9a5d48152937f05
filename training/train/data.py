"""Examples from Parquet to tensors, each rank reading only the rows that are its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.schema import FeatureKind, Split
from training.train.encoding import Category, Encoding

LABEL = "label"
_CHUNK = 65_536  # rows decoded at a time: bounds what a rank holds besides its own rows


class DataError(ValueError):
    """Examples that are missing, or that do not have the columns they should have."""


@dataclass(frozen=True)
class Rows:
    """Examples as tensors of N rows.

    ``numbers`` [N, n] float32 with NaN where missing, ``categories`` [N, c] int64 slots, ``labels`` [N]
    float32 of zeros and ones.
    """

    numbers: Tensor
    categories: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor | slice) -> Rows:
        """Return the given rows, in the given order."""
        if isinstance(rows, slice):
            return Rows(self.numbers[rows], self.categories[rows], self.labels[rows])
        # On the CPU a third of what indexing by a tensor takes.
        numbers, categories, labels = (
            tensor.index_select(0, rows) for tensor in (self.numbers, self.categories, self.labels)
        )
        return Rows(numbers, categories, labels)

    def to(self, device: torch.device) -> Rows:
        """Return the rows on ``device``."""
        return Rows(self.numbers.to(device), self.categories.to(device), self.labels.to(device))


def share(rows: int, rank: int, size: int) -> range:
    """Return the contiguous rows of ``rank`` among ``size`` ranks: every row once, within one of even."""
    return range(rows * rank // size, rows * (rank + 1) // size)


def equal_share(rows: int, rank: int, size: int) -> range:
    """Return as many contiguous rows for every rank, leaving out the last ``rows % size``.

    Ranks that take a step together must all have one to take. Raises DataError if a rank got none.
    """
    each = rows // size
    if not each:
        raise DataError(f"{rows} training rows cannot be shared by {size} processes; use fewer processes")
    return range(rank * each, (rank + 1) * each)


class Examples:
    """The Parquet files of one split, seen as one sequence of rows in the order of the files' names.

    Without a split they are those of ``folder`` itself.
    """

    def __init__(self, folder: Path, split: Split | None = None) -> None:
        self.folder = folder / f"split={split}" if split else folder
        self._files = sorted(self.folder.rglob("*.parquet"))
        if not self._files:
            raise DataError(
                f"{self.folder} holds no Parquet file; has the preprocessing job published a run?"
            )
        self._groups = [
            (file, group, metadata.row_group(group).num_rows)
            for file, metadata in ((file, pq.read_metadata(file)) for file in self._files)
            for group in range(metadata.num_row_groups)
        ]

    def __len__(self) -> int:
        return sum(rows for _, _, rows in self._groups)

    def kinds(self) -> dict[str, FeatureKind]:
        """Return the columns that can be features, each with the kind that its type makes it."""
        schema = pq.read_schema(self._files[0])
        kinds: dict[str, FeatureKind] = {}
        for field in schema:
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                kinds[field.name] = "category"
            elif pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
                kinds[field.name] = "number"
        return kinds

    def batches(self, columns: Sequence[str], rows: range | None = None) -> Iterator[pa.RecordBatch]:
        """Yield ``columns`` of the rows in the contiguous range ``rows`` (default all), in order.

        Only the row groups that overlap the range are read. Raises DataError if a column is missing.
        """
        self._require(columns)
        rows = range(len(self)) if rows is None else rows
        first = 0
        for file, group, count in self._groups:
            if first < rows.stop and first + count > rows.start:
                yield from _slices(file, group, columns, range(rows.start - first, rows.stop - first))
            first += count

    def _require(self, columns: Sequence[str]) -> None:
        absent = sorted(set(columns) - self.kinds().keys())
        if absent:
            raise DataError(
                f"{self.folder}: no text or number named {', '.join(absent)}; run preprocessing again"
            )


def read_rows(examples: Examples, encoding: Encoding, rows: range) -> Rows:
    """Read the contiguous range ``rows`` of ``examples`` as the model takes them. Raises DataError."""
    numbers = np.empty((len(rows), len(encoding.numbers)), dtype=np.float32)
    slots = np.empty((len(rows), len(encoding.categories)), dtype=np.int64)
    labels = np.empty(len(rows), dtype=np.float32)
    at = 0
    for batch in examples.batches([*encoding.number_names, *encoding.category_names, LABEL], rows):
        to = slice(at, at + batch.num_rows)
        numbers[to] = number_matrix(batch, encoding.number_names)
        slots[to] = slot_matrix(batch, encoding.categories)
        labels[to] = _floats(batch.column(LABEL))
        at = to.stop
    return Rows(torch.from_numpy(numbers), torch.from_numpy(slots), torch.from_numpy(labels))


def number_matrix(batch: pa.RecordBatch, names: Sequence[str]) -> NDArray[np.float32]:
    """Return columns ``names`` of ``batch`` as [N, n] float32, NaN where null."""
    matrix = np.empty((batch.num_rows, len(names)), dtype=np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = _floats(batch.column(name))
    return matrix


def slot_matrix(batch: pa.RecordBatch, categories: Sequence[Category]) -> NDArray[np.int64]:
    """Return the slots [N, c] of ``categories`` in ``batch``, 0 for null and for what has none."""
    matrix = np.empty((batch.num_rows, len(categories)), dtype=np.int64)
    for column, category in enumerate(categories):
        matrix[:, column] = _slots(batch.column(category.name), category.slots)
    return matrix


def _slices(file: Path, group: int, columns: Sequence[str], rows: range) -> Iterator[pa.RecordBatch]:
    """Yield the part of a row group that lies in ``rows``, counted from the group's first row."""
    first = 0
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(_CHUNK, row_groups=[group], columns=list(columns)):
            start, stop = max(rows.start - first, 0), min(rows.stop - first, batch.num_rows)
            if start < stop:
                yield batch.slice(start, stop - start)
            first += batch.num_rows


def _floats(column: pa.Array) -> NDArray[np.float32]:
    values: NDArray[np.float32] = column.cast(pa.float32()).to_numpy(zero_copy_only=False)
    return values


def _slots(column: pa.Array, slot_of: Mapping[str, int]) -> NDArray[np.int64]:
    """Return each value's slot, 0 for null and for what has none. Looks up every distinct value once."""
    encoded = column.cast(pa.string()).dictionary_encode(null_encoding="encode")
    slots = [slot_of.get(value, 0) for value in encoded.dictionary.to_pylist()]
    found: NDArray[np.int64] = np.array(slots, dtype=np.int64)[encoded.indices.to_numpy()]
    return found
