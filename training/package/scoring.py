"""Probabilities from a bundle's graph, for rows of Parquet or for records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
from numpy.typing import NDArray

from contract.schema import Record
from training.package.export import PROBABILITY, ROWS
from training.train.data import number_matrix, slot_matrix
from training.train.encoding import Category, Encoding


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The features in the column order of a graph's input: numbers, then categories."""

    numbers: tuple[str, ...]
    categories: tuple[Category, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All features that the graph reads."""
        return (*self.numbers, *(category.name for category in self.categories))

    def of_batch(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        """Return ``batch`` as rows [N, n + c]: NaN and slot 0 stand for what is missing."""
        slots = slot_matrix(batch, self.categories).astype(np.float32)
        return np.hstack([number_matrix(batch, self.numbers), slots])

    def of_records(self, records: Sequence[Record]) -> NDArray[np.float32]:
        """Return ``records`` as rows [N, n + c]."""
        slots = [(category.name, category.slots) for category in self.categories]
        rows = [
            [_number(record, name) for name in self.numbers]
            + [float(slot_of.get(_text(record, name), 0)) for name, slot_of in slots]
            for record in records
        ]
        return np.array(rows, dtype=np.float32)


class Scorer:
    """Runs one serialised ONNX graph on the CPU, on ``threads`` threads (0: as many as there are cores)."""

    def __init__(self, graph: bytes, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability [N] of each of ``rows`` [N, n + c]."""
        scores: NDArray[np.float32] = self._session.run([PROBABILITY], {ROWS: rows})[0]
        return scores

    def bound(self, rows: NDArray[np.float32]) -> Callable[[], None]:
        """Return a call that scores ``rows``, handed over before: it takes what the engine itself takes."""
        rows = np.ascontiguousarray(rows)
        binding = self._session.io_binding()
        binding.bind_cpu_input(ROWS, rows)
        binding.bind_output(PROBABILITY)

        def call(_kept: NDArray[np.float32] = rows) -> None:  # the binding does not keep the rows itself
            self._session.run_with_iobinding(binding)

        return call


def inputs_of_encoding(encoding: Encoding) -> Inputs:
    """Return the inputs of a model that was trained with ``encoding``."""
    return Inputs(numbers=encoding.number_names, categories=encoding.categories)


def inputs_of(manifest: Mapping[str, Any]) -> Inputs:
    """Return the inputs that a bundle's manifest declares."""
    values = {feature["name"]: tuple(feature.get("values", ())) for feature in manifest["features"]}
    declared = manifest["inputs"]
    return Inputs(
        numbers=tuple(declared["numbers"]),
        categories=tuple(Category(name=name, values=values[name]) for name in declared["categories"]),
    )


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    return float("nan") if value is None else float(value)


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return "" if value is None else str(value)
