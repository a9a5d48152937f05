"""The champion: the model in service, measured on the challenger's rows through its own bundle."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from training.package.evaluate import evaluate
from training.package.gate import Champion
from training.package.scoring import Scorer, inputs_of
from training.train.data import Examples

_FORMAT = 1


def measure_champion(folder: Path, examples: Examples) -> Champion | None:
    """Measure the bundle in ``folder`` on ``examples``; None where there is no bundle.

    Examples that lack a feature of the champion, or a bundle of another format, make it incomparable,
    which the result says. Raises ValueError where the bundle is damaged.
    """
    if not (folder / "manifest.json").is_file():
        return None
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    version = manifest.get("version", "unknown")
    obstacle = _obstacle(manifest, examples)
    if obstacle:
        return Champion(version=version, test=None, obstacle=obstacle)
    scorer = Scorer(_graph(folder, manifest), inputs_of(manifest))
    return Champion(version=version, test=evaluate(scorer, examples))


def _obstacle(manifest: dict[str, Any], examples: Examples) -> str:
    if manifest.get("format") != _FORMAT:
        return f"its manifest has format {manifest.get('format')}, not {_FORMAT}"
    inputs, kinds = inputs_of(manifest), examples.kinds()
    gone = [name for name in inputs.numbers if kinds.get(name) != "number"]
    gone += [name for name in inputs.categories if kinds.get(name) != "category"]
    if gone:
        return f"it needs {', '.join(gone)}, which the examples no longer have in that kind"
    return ""


def _graph(folder: Path, manifest: dict[str, Any]) -> bytes:
    graph = (folder / "model.onnx").read_bytes()
    promised = manifest["files"]["model.onnx"]["sha256"]
    if hashlib.sha256(graph).hexdigest() != promised:
        raise ValueError(
            f"{folder / 'model.onnx'} is not the file its manifest names; restore the champion's bundle"
        )
    return graph
