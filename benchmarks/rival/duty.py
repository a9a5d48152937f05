"""What both rival handlers do for their callers, as one would write it with numpy, json and ONNX Runtime.

The same duty as the predict function's: only records that keep to the contract are answered, unusual values
are warned of, one log line per request carries its metrics.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

LARGEST = 1e30


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request that cannot be answered, with the flaws found in it."""

    def __init__(self, flaws: list[str]) -> None:
        super().__init__("; ".join(flaws))
        self.flaws = flaws


@dataclass(frozen=True)
class Model:
    """An open bundle."""

    manifest: dict[str, Any]
    single: onnxruntime.InferenceSession
    batch: onnxruntime.InferenceSession

    @classmethod
    def open(cls) -> Model:
        """Open the bundle of the function's layer, check its files, and answer its examples once."""
        folder = Path(os.environ["LAMBDA_LAYER_ROOT"]) / "bundle"
        manifest = json.loads((folder / "manifest.json").read_bytes())
        sessions = {name: session(folder / name, manifest) for name in set(manifest["graphs"].values())}
        model = cls(manifest, *(sessions[manifest["graphs"][size]] for size in ("single", "batch")))
        model.predict([example["record"] for example in manifest["examples"]], "warm")
        return model

    def predict(self, records: Any, request_id: str) -> list[dict[str, Any]]:
        """Answer ``records``; raise Refused where they break the contract."""
        features = {feature["name"]: feature for feature in self.manifest["features"]}
        check(records, features, self.manifest["limits"]["records"])
        inputs = self.manifest["inputs"]
        rows = [encode(record, inputs, features) for record in records]
        chosen = self.single if len(rows) == 1 else self.batch
        (probabilities,) = chosen.run(None, {"rows": np.array(rows, np.float32)})
        decision = self.manifest["decision"]
        return [
            {
                "id": f"{request_id}-{index}",
                "probability": probability,
                "decision": decision["positive" if probability >= decision["threshold"] else "negative"],
                "warnings": warnings(record, features),
            }
            for index, (record, probability) in enumerate(zip(records, probabilities.tolist(), strict=True))
        ]


def session(file: Path, manifest: dict[str, Any]) -> onnxruntime.InferenceSession:
    """Open a graph on one thread, if it is the one that the manifest lists."""
    graph = file.read_bytes()
    if sha256(graph).hexdigest() != manifest["files"][file.name]["sha256"]:
        raise RuntimeError(f"{file} is not what the manifest lists; package the model again")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def check(records: Any, features: dict[str, Any], most: int) -> None:
    """Raise Refused unless ``records`` keep to the contract."""
    if not isinstance(records, list) or not 0 < len(records) <= most:
        raise Refused([f"`records` must be a list of 1 to {most}"])
    flaws = [flaw for index, record in enumerate(records) for flaw in record_flaws(index, record, features)]
    if flaws:
        raise Refused(flaws)


def record_flaws(index: int, record: Any, features: dict[str, Any]) -> list[str]:
    """Say what is wrong with one record."""
    if not isinstance(record, dict):
        return [f"record {index} is not an object"]
    flaws = [f"record {index}: {name} is not a field" for name in record.keys() - features.keys()]
    for name, feature in features.items():
        value = record.get(name)
        if value is None:
            if feature["required"]:
                flaws.append(f"record {index}: {name} is required")
        elif not fits(value, feature["kind"]):
            flaws.append(f"record {index}: {name} is not a {feature['kind']}")
    return flaws


def fits(value: Any, kind: str) -> bool:
    """Whether ``value`` is of the feature's kind."""
    if kind == "category":
        return isinstance(value, str)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= LARGEST


def encode(record: dict[str, Any], inputs: dict[str, Any], features: dict[str, Any]) -> list[float]:
    """Return the graph's row: numbers (NaN where missing), then slots of categories (0: unknown)."""
    numbers = [math.nan if record.get(name) is None else record[name] for name in inputs["numbers"]]
    return numbers + [slot(record.get(name), features[name]["values"]) for name in inputs["categories"]]


def slot(value: str | None, values: list[str]) -> float:
    """Return the place of ``value`` in the vocabulary, from 1; 0 if it is not there."""
    return values.index(value) + 1 if value in values else 0


def warnings(record: dict[str, Any], features: dict[str, Any]) -> list[dict[str, str]]:
    """Return the fields whose values the model has not been made for."""
    return [
        {"field": name, "problem": "outside of what the model has seen"}
        for name, value in record.items()
        if value is not None and unusual(value, features[name])
    ]


def unusual(value: Any, feature: dict[str, Any]) -> bool:
    """Whether ``value`` is out of bounds or not in the vocabulary."""
    if feature["kind"] == "category":
        return feature["used"] and value not in feature["values"]
    low, high = feature["min"], feature["max"]
    return (low is not None and value < low) or (high is not None and value > high)
