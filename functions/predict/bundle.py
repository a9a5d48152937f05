"""A model's bundle as the packaging job writes it: ``manifest.json`` and the graphs that it names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike, fspath
from os.path import isfile, join
from typing import Annotated, Any, Literal

import msgspec

from .engine import EngineError
from .model import Model

try:
    from _sha2 import sha256  # type: ignore[import-not-found] # hashlib loads all of OpenSSL
except ImportError:  # before Python 3.12
    from hashlib import sha256

FORMAT = 2
MANIFEST = "manifest.json"

Name = Annotated[str, msgspec.Meta(pattern=r'^[^"\\\x00-\x1f]+\Z')]
"""A feature's name: what the decoder of requests takes as the name of a field."""
Positive = Annotated[int, msgspec.Meta(ge=1)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class BundleError(Exception):
    """The bundle cannot be served. Says which file, what is wrong with it and what to do."""


class Feature(msgspec.Struct, frozen=True):
    """A model input. ``values`` is the vocabulary of a category; ``used`` is false if training dropped it.

    ``spellings`` are other ways to write some of ``values``: variant → value.
    """

    name: Name
    kind: Literal["number", "category"]
    required: bool = False
    min: float | None = None
    max: float | None = None
    unit: str = ""
    meaning: str = ""
    used: bool = True
    values: tuple[Text, ...] = ()
    spellings: dict[Text, Text] = {}


class Inputs(msgspec.Struct, frozen=True):
    """Feature names in the order of the graphs' columns: first the numbers, then the categories' slots."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Decision(msgspec.Struct, frozen=True):
    """A probability of at least ``threshold`` is called ``positive``."""

    positive: str
    negative: str
    threshold: float


class Limits(msgspec.Struct, frozen=True):
    """The most one request may hold."""

    records: Positive
    body_bytes: Positive


class Example(msgspec.Struct, frozen=True):
    """A record and the probability that this model gives it."""

    record: dict[str, Any]
    probability: float


class File(msgspec.Struct, frozen=True):
    """A file of the bundle as it was written."""

    sha256: str
    bytes: int


class Graphs(msgspec.Struct, frozen=True):
    """Names of the files that hold the model: for one record, and for many at once."""

    single: str
    batch: str


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
    graphs: Graphs
    files: dict[str, File]
    examples: tuple[Example, ...] = ()
    made_at: str = ""
    """When the data were prepared that the model was made from: ISO 8601, UTC."""
    contract_sha256: str = ""
    git_commit: str = ""
    data: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    candidate: dict[str, Any] = {}


class Format(msgspec.Struct, frozen=True):
    """As much of a manifest as tells whether the rest can be read."""

    format: int


class Bundle(msgspec.Struct, frozen=True):
    """An open bundle, ready to answer."""

    manifest: Manifest
    model: Model


Read = Callable[[str], bytes]
"""Returns the content of a file of the bundle by its name. Raises FileNotFoundError."""


def open_bundle(place: str | PathLike[str]) -> Bundle | None:
    """Open the bundle in the folder ``place``; None where no manifest is: nothing has been released yet.

    Raises BundleError.
    """
    folder = fspath(place)
    return read_bundle(folder, partial(_read, folder)) if isfile(join(folder, MANIFEST)) else None


def read_bundle(place: str, read: Read) -> Bundle:
    """Open the bundle whose files ``read`` returns; ``place`` is what errors call it. Raises BundleError."""
    manifest = read_manifest(place, read(MANIFEST))
    _check_columns(manifest)
    single, batch = (
        read_file(place, manifest, name, read) for name in (manifest.graphs.single, manifest.graphs.batch)
    )
    columns = len(manifest.inputs.numbers) + len(manifest.inputs.categories)
    try:
        return Bundle(manifest, Model(single, batch, columns=columns, capacity=manifest.limits.records))
    except (MemoryError, OverflowError) as error:
        raise BundleError(
            f"{join(place, MANIFEST)}: there is no memory for {manifest.limits.records} records; "
            "lower `limits.records`"
        ) from error
    except EngineError as error:
        raise BundleError(
            f"{place}: the graphs do not run on the {columns} columns of manifest.json: {error}; "
            "package the model again"
        ) from error


def _read(folder: str, name: str) -> bytes:
    with open(join(folder, name), "rb") as opened:
        return opened.read()


def read_manifest(place: str, content: bytes) -> Manifest:
    """Read the manifest of the bundle in ``place``. Raises BundleError."""
    file = join(place, MANIFEST)
    try:
        found = msgspec.json.decode(content, type=Format).format
        if found != FORMAT:
            raise BundleError(
                f"{file}: format {found} is not {FORMAT}; train again, or deploy the function that reads it"
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{file}: {error}; package the model again") from error


def read_file(place: str, manifest: Manifest, name: str, read: Read) -> bytes:
    """Return the file ``name`` that the manifest promises. Raises BundleError where it is not that file."""
    promised = manifest.files.get(name)
    if promised is None:
        raise BundleError(f"manifest.json lists no {name}; package the model again")
    file = join(place, name)
    try:
        content = read(name)
    except FileNotFoundError:
        raise BundleError(f"{file} is missing; package the model again") from None
    if sha256(content).hexdigest() != promised.sha256:
        raise BundleError(f"{file}: its SHA-256 is not the manifest's; package the model again")
    return content


def _check_columns(manifest: Manifest) -> None:
    """Refuse a manifest whose columns are not its features, or whose features are not told apart."""
    _refuse_twice("features", [feature.name for feature in manifest.features])
    for kind, names in (("number", manifest.inputs.numbers), ("category", manifest.inputs.categories)):
        unknown = set(names) - {feature.name for feature in manifest.features if feature.kind == kind}
        if unknown:
            raise BundleError(
                f"manifest.json: inputs {sorted(unknown)} are no {kind} features; package again"
            )
    _refuse_twice("inputs", [*manifest.inputs.numbers, *manifest.inputs.categories])


def _refuse_twice(member: str, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BundleError(f"manifest.json: {member} {twice} stand twice; package the model again")
