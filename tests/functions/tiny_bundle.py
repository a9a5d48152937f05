"""Writes a tiny but real bundle: a logistic model over whatever features it is given.

The graph has the input and the output that every bundle has: ``rows`` float32 [N, n + c], the numbers (NaN:
missing) and then the categories' slots (0: missing or unseen) → ``probability`` float32 [N].
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from contract.schema import Contract


@dataclass(frozen=True, kw_only=True)
class Input:
    """A feature as the manifest lists it, and the weight the model gives it.

    A number adds ``weight × value``; a category adds ``weight × place of the value in values, from 1``.
    A missing number counts as 0, an unseen or missing category too.
    """

    name: str
    kind: str
    required: bool = False
    min: float | None = None
    max: float | None = None
    unit: str = ""
    meaning: str = "Made up"
    used: bool = True
    values: tuple[str, ...] = ()
    spellings: dict[str, str] = field(default_factory=dict)
    weight: float = 0.01


PARCELS = (
    Input(name="depot", kind="category", required=True, values=("north", "south"), weight=0.5),
    Input(name="colour", kind="category", used=False),
    Input(name="weight", kind="number", min=0, max=100, unit="kg"),
    Input(name="volume", kind="number", min=0, max=10, unit="m³", used=False),
    Input(
        name="region",
        kind="category",
        values=("alps", "coast", "plain"),
        spellings={"ALPS": "alps", "flat land": "plain"},
        weight=-0.25,
    ),
    Input(name="distance", kind="number", required=True, min=0, max=5000, unit="km", weight=0.001),
)
PARCEL = {"depot": "north", "weight": 2.5, "region": "coast", "distance": 120.0}


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """What a tiny bundle is made from."""

    name: str = "parcels"
    version: str = "run-1"
    inputs: tuple[Input, ...] = PARCELS
    examples: Sequence[dict[str, Any]] = (PARCEL,)
    bias: float = -1.0
    limits: dict[str, int] = field(default_factory=lambda: {"records": 100, "body_bytes": 100_000})
    made_at: str = "2026-01-01T00:00:00Z"
    positive: str = "late"
    negative: str = "on time"

    def used(self, kind: str) -> list[Input]:
        return [feature for feature in self.inputs if feature.kind == kind and feature.used]

    def probability(self, record: dict[str, Any]) -> float:
        """The model in plain Python."""
        score = self.bias
        for number in self.used("number"):
            score += number.weight * (record.get(number.name) or 0.0)
        for category in self.used("category"):
            sent = record.get(category.name)
            value = category.spellings.get(sent or "", sent)
            if value in category.values:
                score += category.weight * (category.values.index(value) + 1)
        return 1 / (1 + math.exp(-score))


def make_bundle(folder: Path, tiny: Tiny | None = None) -> Path:
    """Write ``model.onnx`` and ``manifest.json`` into ``folder`` and return it."""
    tiny = tiny or Tiny()
    folder.mkdir(parents=True, exist_ok=True)
    model = graph(tiny).SerializeToString()
    (folder / "model.onnx").write_bytes(model)
    (folder / "manifest.json").write_text(json.dumps(manifest(tiny, model)))
    return folder


def tiny_of(contract: Contract, values: tuple[str, ...] = ("UA", "EWR", "IAH")) -> Tiny:
    """What a bundle of ``contract`` would be, had training found ``values`` in every category."""
    inputs = tuple(
        Input(
            name=name,
            kind=feature.kind,
            required=feature.required,
            min=feature.min,
            max=feature.max,
            unit=feature.unit,
            meaning=feature.meaning,
            values=values if feature.kind == "category" else (),
        )
        for name, feature in contract.features.items()
    )
    limits = {"records": contract.serving.max_records, "body_bytes": contract.serving.max_body_bytes}
    return Tiny(name=contract.name, inputs=inputs, examples=contract.examples, limits=limits)


def manifest(tiny: Tiny, model: bytes) -> dict[str, Any]:
    features = [{k: v for k, v in asdict(feature).items() if k != "weight"} for feature in tiny.inputs]
    return {
        "format": 2,
        "workload": tiny.name,
        "version": tiny.version,
        "made_at": tiny.made_at,
        "question": "Will it arrive late?",
        "decision": {"positive": tiny.positive, "negative": tiny.negative, "threshold": 0.5},
        "limits": tiny.limits,
        "features": features,
        "inputs": {
            "numbers": [feature.name for feature in tiny.used("number")],
            "categories": [feature.name for feature in tiny.used("category")],
        },
        "examples": [{"record": record, "probability": tiny.probability(record)} for record in tiny.examples],
        "contract_sha256": "c" * 64,
        "git_commit": "d" * 40,
        "data": {"run": tiny.version, "rows": {"train": 100, "validate": 20, "test": 20}},
        "metrics": {"test": {"auc": 0.75}},
        "parity": {"max_abs_difference": 0.0, "rows": 20},
        "graphs": {"single": "model.onnx", "batch": "model.onnx"},
        "files": {"model.onnx": {"sha256": sha256(model).hexdigest(), "bytes": len(model)}},
    }


def graph(tiny: Tiny) -> ModelProto:
    weights = [[feature.weight] for kind in ("number", "category") for feature in tiny.used(kind)]
    nodes = [
        helper.make_node("IsNaN", ["rows"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "rows"], ["filled"]),
        helper.make_node("Gemm", ["filled", "weights", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["column"]),
        helper.make_node("Squeeze", ["column", "one"], ["probability"]),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        numpy_helper.from_array(np.array(weights, np.float32), "weights"),
        numpy_helper.from_array(np.array([tiny.bias], np.float32), "bias"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["count", len(weights)])
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["count"])
    drawn = helper.make_graph(nodes, "tiny", [rows], [output], constants)
    return helper.make_model(drawn, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
