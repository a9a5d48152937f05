"""A model's bundle as the packaging job writes it: ``manifest.json`` and ``model.onnx``."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import onnxruntime

if TYPE_CHECKING:  # the bundle leaves numpy.typing out
    from numpy.typing import NDArray

FORMAT = 1
MODEL = "model.onnx"


class BundleError(Exception):
    """The bundle cannot be served. Says which file, what is wrong with it and what to do."""


class Feature(msgspec.Struct, frozen=True):
    """A model input. ``values`` is the vocabulary of a category; ``used`` is false if training dropped it."""

    name: str
    kind: Literal["number", "category"]
    required: bool = False
    min: float | None = None
    max: float | None = None
    unit: str = ""
    meaning: str = ""
    used: bool = True
    values: tuple[str, ...] = ()


class Inputs(msgspec.Struct, frozen=True):
    """Feature names in the column order of the graph's inputs."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """A probability of at least ``threshold`` is called ``positive``."""

    positive: str
    negative: str
    threshold: float


class Limits(msgspec.Struct, frozen=True):
    """The most one request may hold."""

    records: int
    body_bytes: int


class Example(msgspec.Struct, frozen=True):
    """A record and the probability that this model gives it."""

    record: dict[str, Any]
    probability: float


class File(msgspec.Struct, frozen=True):
    """A file of the bundle as it was written."""

    sha256: str
    bytes: int


class Manifest(msgspec.Struct, frozen=True):
    """What the bundle promises about its model."""

    format: int
    workload: str
    version: str
    question: str
    decision: Decision
    limits: Limits
    features: tuple[Feature, ...]
    inputs: Inputs
    files: dict[str, File]
    examples: tuple[Example, ...] = ()
    contract_sha256: str = ""
    git_commit: str = ""
    data: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    def ordered(self, kind: str) -> tuple[Feature, ...]:
        """Features of ``kind``: those the graph reads, in its column order, then the unused ones."""
        by_name = {feature.name: feature for feature in self.features if feature.kind == kind}
        read = self.inputs.numbers if kind == "number" else self.inputs.categories
        unread = tuple(feature for name, feature in by_name.items() if name not in read)
        return tuple(by_name[name] for name in read) + unread


class Bundle:
    """An open bundle, ready to answer."""

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession) -> None:
        self.manifest = manifest
        self._session = session
        self._numbers = len(manifest.inputs.numbers)
        self._categories = len(manifest.inputs.categories)

    def probabilities(self, numbers: NDArray[np.float32], categories: list[list[str]]) -> list[float]:
        """Return the probability of the positive outcome per row, of what ``feeds`` takes."""
        return self.run(self.feeds(numbers, categories))

    def feeds(self, numbers: NDArray[np.float32], categories: list[list[str]]) -> dict[str, NDArray[Any]]:
        """Return the graph's inputs.

        ``numbers`` is float32 [N, ≥ n], NaN where missing; ``categories`` has N rows of ≥ c strings, ""
        where missing. Columns beyond those the graph reads are left out.
        """
        feeds: dict[str, NDArray[Any]] = {}
        if self._numbers:
            feeds["numbers"] = numbers[:, : self._numbers]
        if self._categories:
            feeds["categories"] = np.array(categories, dtype=object)[:, : self._categories]
        return feeds

    def run(self, feeds: dict[str, NDArray[Any]]) -> list[float]:
        """Run the graph."""
        probabilities: list[float] = self._session.run(None, feeds)[0].tolist()
        return probabilities


def open_bundle(folder: Path) -> Bundle | None:
    """Open the bundle in ``folder``, or return None where no manifest is: nothing has been released yet."""
    file = folder / "manifest.json"
    if not file.exists():
        return None
    manifest = _read_manifest(file)
    session = _open_session(_read_model(folder / MODEL, manifest.files.get(MODEL)))
    _check_columns(manifest, session)
    return Bundle(manifest, session)


def _read_manifest(file: Path) -> Manifest:
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"{file}: {error}; package the model again") from error
    if manifest.format != FORMAT:
        raise BundleError(
            f"{file}: format {manifest.format} is not {FORMAT}; deploy the function that reads it"
        )
    return manifest


def _read_model(file: Path, promised: File | None) -> bytes:
    if promised is None:
        raise BundleError(f"manifest.json lists no {file.name}; package the model again")
    model = file.read_bytes()
    if sha256(model).hexdigest() != promised.sha256:
        raise BundleError(f"{file}: its SHA-256 is not the manifest's; package the model again")
    return model


def _open_session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One request is one small graph on a fraction of a core: a thread pool only costs.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _check_columns(manifest: Manifest, session: onnxruntime.InferenceSession) -> None:
    """Refuse a manifest that describes other inputs than the graph has."""
    found = {node.name: node.shape[1] for node in session.get_inputs()}
    promised = {"numbers": len(manifest.inputs.numbers), "categories": len(manifest.inputs.categories)}
    if found != {name: columns for name, columns in promised.items() if columns}:
        raise BundleError(f"{MODEL} reads the columns {found}, manifest.json says {promised}; package again")
    for kind, names in (("number", manifest.inputs.numbers), ("category", manifest.inputs.categories)):
        unknown = set(names) - {feature.name for feature in manifest.features if feature.kind == kind}
        if unknown:
            raise BundleError(
                f"manifest.json: inputs {sorted(unknown)} are no {kind} features; package again"
            )
