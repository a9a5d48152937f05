"""A bundle that is not what it says is refused before it has callers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from functions.predict.bundle import BundleError, Feature, open_bundle
from functions.predict.layout import slots_of

from .conftest import serve
from .tiny_bundle import make_bundle


def change(bundle: Path, **members: Any) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **members}))


def feature(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "category", **more}


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
        ({"limits": {"records": 0, "body_bytes": 9}}, r"Expected `int` >= 1 - at `\$.limits.records`"),
        ({"limits": {"records": 10**12, "body_bytes": 9}}, "no memory for 1000000000000 records"),
        ({"limits": {"records": 10**20, "body_bytes": 9}}, "no memory for 1"),
        ({"features": [feature("depot")] * 2}, r"features \['depot'\] stand twice"),
        ({"inputs": {"numbers": ["weight", "weight"]}}, r"inputs \['weight'\] stand twice"),
        ({"features": [feature('de"pot')]}, r"Expected `str` matching regex .* at `\$.features\[0\].name`"),
        ({"features": [feature("depot\n")]}, r"Expected `str` matching regex .* at `\$.features\[0\].name`"),
        ({"features": [feature("depot", values=["north", ""])]}, r"length >= 1 - at .*values\[1\]`"),
        (
            {"features": [feature("depot", spellings={"": "north"})]},
            r"length >= 1 - at `key` in .*spellings`",
        ),
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


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"format": 2, "version": "\xff"}', b'{"format": ' + b"[" * 99_999]
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (make_bundle(tmp_path) / "manifest.json").write_bytes(content)

    with pytest.raises(BundleError, match="package the model again"):
        open_bundle(tmp_path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"examples": [{"record": {"speed": 1}, "probability": 0.5}]}, "Record 0, `speed`: is not a field"),
        ({"limits": {"records": 9, "body_bytes": 9}}, "at most 9 are taken"),
        ({"workload": "boats"}, "holds a model of `boats`, and what is to be served here is `parcels`"),
    ],
)
def test_a_model_that_cannot_serve_here_is_refused(
    tmp_path: Path, members: dict[str, Any], message: str
) -> None:
    change(make_bundle(tmp_path / "bundle"), **members)

    with pytest.raises(BundleError, match=message):
        serve(tmp_path)


def test_a_spelling_never_hides_a_value_nor_stands_for_one_that_is_not_there() -> None:
    spelt = {"north": "south", "N": "north", "M": "moon"}
    depot = Feature(name="depot", kind="category", values=("north", "south"), spellings=spelt)

    assert slots_of(depot) == {None: 0.0, "": 0.0, "N": 1.0, "north": 1.0, "south": 2.0}
