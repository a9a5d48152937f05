"""The champion: the model in service, read from its own bundle so that it scores the challenger's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract.schema import FeatureKind
from training.package.evaluate import Reader, Scored
from training.package.gate import Champion
from training.package.manifest import FORMAT
from training.package.scoring import Scorer, inputs_of

NAME = "champion"


@dataclass(frozen=True)
class Incumbent:
    """A champion's bundle. Without a ``reader`` it cannot score these rows, and ``obstacle`` says why."""

    version: str
    reader: Reader | None
    obstacle: str = ""

    @property
    def readers(self) -> Mapping[str, Reader]:
        """Return the reader under the name that ``result`` looks for."""
        return {} if self.reader is None else {NAME: self.reader}

    def result(self, scored: Scored) -> Champion:
        """Return what the champion reached on rows that it was among the readers of."""
        test = None if self.reader is None else scored.metrics(NAME)
        return Champion(version=self.version, test=test, obstacle=self.obstacle)


def read_champion(folder: Path, kinds: Mapping[str, FeatureKind]) -> Incumbent | None:
    """Read the bundle in ``folder`` for rows whose columns have ``kinds``; None where there is no bundle.

    Rows that lack a feature of the champion, or a bundle of another format, make it incomparable, which
    the result says. Raises ValueError where the bundle is damaged.
    """
    if not (folder / "manifest.json").is_file():
        return None
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    version = manifest.get("version", "unknown")
    obstacle = _obstacle(manifest, kinds)
    if obstacle:
        return Incumbent(version, None, obstacle)
    return Incumbent(version, Reader(inputs_of(manifest), Scorer(_graph(folder, manifest))))


def _obstacle(manifest: dict[str, Any], kinds: Mapping[str, FeatureKind]) -> str:
    if manifest.get("format") != FORMAT:
        return f"its manifest has format {manifest.get('format')}, not {FORMAT}"
    declared = manifest["inputs"]
    gone = [name for name in declared["numbers"] if kinds.get(name) != "number"]
    gone += [name for name in declared["categories"] if kinds.get(name) != "category"]
    if gone:
        return f"it needs {', '.join(gone)}, which the examples no longer have in that kind"
    return ""


def _graph(folder: Path, manifest: dict[str, Any]) -> bytes:
    name = manifest["graphs"]["batch"]
    graph: bytes = (folder / name).read_bytes()
    if hashlib.sha256(graph).hexdigest() != manifest["files"][name]["sha256"]:
        raise ValueError(f"{folder / name} is not the file its manifest names; restore the champion's bundle")
    return graph
