"""A bundle that is not what it says is refused before it has callers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.predict.bundle import BundleError, open_bundle

from .tiny_bundle import make_bundle


def change(bundle: Path, **members: Any) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **members}))


def test_an_empty_layer_is_no_bundle(tmp_path: Path) -> None:
    assert open_bundle(tmp_path / "bundle") is None


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path)
    with (bundle / "model.onnx").open("ab") as model:
        model.write(b"\0")

    with pytest.raises(BundleError, match="SHA-256"):
        open_bundle(bundle)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"format": 1}, "format 1 is not 2"),
        ({"version": None}, r"manifest.json: Expected `str`, got `null` - at `\$.version`"),
        ({"files": {}}, "lists no model.onnx"),
        (
            {"inputs": {"numbers": ["weight"], "categories": ["depot", "region"]}},
            r"do not run on the 3 columns",
        ),
        (
            {"inputs": {"numbers": ["weight", "depot"], "categories": ["depot", "region"]}},
            r"\['depot'\] are no number features",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(
    tmp_path: Path, members: dict[str, Any], message: str
) -> None:
    bundle = make_bundle(tmp_path)
    change(bundle, **members)

    with pytest.raises(BundleError, match=message):
        open_bundle(bundle)
