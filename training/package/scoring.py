"""Probabilities from a bundle's graph, for rows of Parquet or for records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
from numpy.typing import NDArray

from contract.schema import Record
from training.package.export import CATEGORIES, NUMBERS, PROBABILITY
from training.train.data import Examples, number_matrix

Feed = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Names of the features in the column order of the graph's two inputs."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All features that the graph reads."""
        return (*self.numbers, *self.categories)


class Scorer:
    """Runs one serialised ONNX graph on the CPU."""

    def __init__(self, graph: bytes, inputs: Inputs) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.inputs = inputs

    def examples(self, examples: Examples) -> NDArray[np.float32]:
        """Return the probability [N] of every row of ``examples``, in order. Raises DataError."""
        return self._run(self._of_batch(batch) for batch in examples.batches(self.inputs.names))

    def records(self, records: Sequence[Record]) -> NDArray[np.float32]:
        """Return the probability [N] of every record, in order."""
        return self._run([self._of_records(records)])

    def _run(self, feeds: Iterable[Feed]) -> NDArray[np.float32]:
        scores = [self._session.run([PROBABILITY], feed)[0] for feed in feeds]
        return np.concatenate(scores) if scores else np.empty(0, np.float32)

    def _of_batch(self, batch: pa.RecordBatch) -> Feed:
        columns = [_texts(batch.column(name)) for name in self.inputs.categories]
        return self._feed(number_matrix(batch, self.inputs.numbers), columns)

    def _of_records(self, records: Sequence[Record]) -> Feed:
        numbers = [[_number(record, name) for name in self.inputs.numbers] for record in records]
        columns = [[_text(record, name) for record in records] for name in self.inputs.categories]
        return self._feed(np.array(numbers, dtype=np.float32), columns)

    def _feed(self, numbers: NDArray[np.float32], columns: Sequence[Sequence[str]]) -> Feed:
        feed: Feed = {}
        if self.inputs.numbers:
            feed[NUMBERS] = numbers
        if self.inputs.categories:
            feed[CATEGORIES] = np.array(columns, dtype=object).T
        return feed


def inputs_of(manifest: Mapping[str, Any]) -> Inputs:
    """Return the inputs that a bundle's manifest declares."""
    declared = manifest["inputs"]
    return Inputs(numbers=tuple(declared["numbers"]), categories=tuple(declared["categories"]))


def _texts(column: pa.Array) -> list[str]:
    return [text or "" for text in column.cast(pa.string()).to_pylist()]


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    return float("nan") if value is None else float(value)


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return "" if value is None else str(value)
