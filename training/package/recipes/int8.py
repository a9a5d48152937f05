"""The teacher's batch graph in 8-bit integers: a quarter of the bytes, at the price of rounding."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from training.package.candidate import Candidate
from training.package.export import ROWS, serialised
from training.package.graphs import Graphs
from training.package.workbench import Workbench

_CALIBRATED_ON = 4096
"""Training rows that show which values occur inside the graph."""
_STEP = 512
_MULTIPLICATIONS = ["MatMul", "Gemm"]


def dynamic(bench: Workbench) -> Iterator[Candidate]:
    """Yield the graph with weights as integers; values inside are measured at each call."""
    # Seven bits of weight: with eight, processors without VNNI overflow their 16-bit sums.
    yield _candidate(
        bench,
        "int8-dynamic",
        "the teacher's weights as 8-bit integers, values scaled at each call",
        lambda source, target: quantize_dynamic(
            source, target, _MULTIPLICATIONS, weight_type=QuantType.QInt8, reduce_range=True, per_channel=True
        ),
    )


def static(bench: Workbench) -> Iterator[Candidate]:
    """Yield the graph with weights and values as integers, calibrated on training rows."""
    rows = bench.matrix[:: -(-len(bench.matrix) // _CALIBRATED_ON)]
    yield _candidate(
        bench,
        "int8-static",
        f"the teacher's weights and inner values as 8-bit integers, calibrated on {len(rows)} training rows",
        lambda source, target: quantize_static(
            source,
            target,
            _Calibration(rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_MULTIPLICATIONS,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            per_channel=True,
        ),
    )


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Rows [N, n + c] handed out in steps."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._steps = iter(np.array_split(rows, -(-len(rows) // _STEP)))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next rows by the input's name, None after the last."""
        rows = next(self._steps, None)
        return None if rows is None else {ROWS: rows}


def _candidate(bench: Workbench, name: str, made: str, quantise: Callable[[Path, Path], Any]) -> Candidate:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(bench.graphs.batch)
        _quietly(quantise, source, target)
        graph = serialised(onnx.load(target))
    # One graph for both uses: a second one, folded and in floats, would give the bytes back.
    graphs = Graphs(batch=graph, single=graph)
    return Candidate(name=name, made=made, graphs=graphs, reference=bench.score, quantised=True)


def _quietly(quantise: Callable[[Path, Path], Any], source: Path, target: Path) -> None:
    """Keep the quantiser's advice out of the log: the graph has been through a preparation of its own."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        quantise(source, target)
    finally:
        logging.disable(before)
