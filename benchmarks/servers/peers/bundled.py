"""The bundle as every peer's users would serve it: ONNX Runtime's binding on one thread, numpy, a dictionary.

All peers share this, so that what differs between them is the server.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Record = Mapping[str, Any]


class Scorer:
    """An open bundle."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        self.name: str = manifest["workload"]
        values = {feature["name"]: feature.get("values", ()) for feature in manifest["features"]}
        self._numbers: list[str] = manifest["inputs"]["numbers"]
        self._categories = [(name, slots(values[name])) for name in manifest["inputs"]["categories"]]
        self.columns = len(self._numbers) + len(self._categories)
        graphs = manifest["graphs"]
        self._single, self._batch = (session(folder / graphs[size]) for size in ("single", "batch"))

    @classmethod
    def open(cls) -> Scorer:
        """Open the bundle that the environment variable BUNDLE names, and run both graphs once."""
        scorer = cls(Path(os.environ["BUNDLE"]))
        for count in (1, 2):
            scorer.run(np.zeros((count, scorer.columns), np.float32))
        return scorer

    def score(self, records: Sequence[Record]) -> Floats:
        """Return the probability of each of ``records``."""
        return self.run(self.rows(records))

    def rows(self, records: Sequence[Record]) -> Floats:
        """Return float32 [records, columns]: numbers, NaN where missing, then slots of categories."""
        nan, numbers, categories = math.nan, self._numbers, self._categories
        cells: list[float] = []
        for record in records:
            get = record.get
            cells += [nan if (value := get(name)) is None else value for name in numbers]
            cells += [places.get(get(name), 0.0) for name, places in categories]
        return np.array(cells, np.float32).reshape(-1, self.columns)

    def run(self, rows: Floats) -> Floats:
        """Return the probability of each of ``rows``, float32 [records, columns]."""
        chosen = self._single if len(rows) == 1 else self._batch
        probabilities: Floats = chosen.run(None, {"rows": rows})[0]
        return probabilities


def slots(values: Sequence[str]) -> dict[Any, float]:
    """Return the slot of each value, from 1; a missing or unknown one has 0."""
    return {value: float(place) for place, value in enumerate(values, 1)}


def session(file: Path) -> onnxruntime.InferenceSession:
    """Open a graph on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
