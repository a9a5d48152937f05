"""CDK builds the code by itself, under a name that does not depend on where the repository lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_

from infra.bundling import function_code
from infra.settings import load


def synthesise(root: Path) -> Path:
    app = cdk.App(outdir=str(root / "cdk.out"), analytics_reporting=False)
    stack = cdk.Stack(app, "Stack")
    lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="hello.app.handler",
        code=function_code("hello", load("dev"), root),
    )
    return Path(app.synth().directory)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "one/functions/hello"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
    return tmp_path / "one"


def test_the_asset_holds_the_package(root: Path) -> None:
    (asset,) = synthesise(root).glob("asset.*")

    files = {path.relative_to(asset).as_posix() for path in asset.rglob("*.*") if path.suffix != ".pyc"}
    assert files == {"bytecode.txt", "hello/app.py"}


def test_two_clones_give_the_same_template_and_assets(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "elsewhere/two")
    one, two = synthesise(root), synthesise(tmp_path / "elsewhere/two")

    def read(assembly: Path) -> dict[str, Any]:
        return {name: json.loads((assembly / name).read_text()) for name in names}

    names = ["Stack.template.json", "Stack.assets.json"]
    assert read(one) == read(two)
    assert sorted(path.name for path in one.glob("asset.*")) == sorted(p.name for p in two.glob("asset.*"))
