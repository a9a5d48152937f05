"""The function's start: what it imports, and what SnapStart asks of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .tiny_bundle import make_bundle

ROOT = Path(__file__).parents[2]
HEAVY = ["numpy", "onnxruntime"]
HEAVY += ["boto3", "botocore", "pandas", "pydantic", "torch", "onnx", "aws_lambda_powertools", "requests"]


def run(script: str, layer: Path, *path: Path) -> str:
    """Run ``script`` in a process of its own, as the function's runtime would."""
    places = os.pathsep.join(map(str, path))
    environment = {**os.environ, "LAMBDA_LAYER_ROOT": str(layer), "PYTHONPATH": places}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=layer)
    return done.stdout


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layer")
    make_bundle(folder / "bundle")
    return folder


@pytest.mark.parametrize(
    ("package", "root"), [("functions.predict", ROOT), ("predict", ROOT / "functions")], ids=["tree", "zip"]
)
def test_the_start_imports_nothing_heavy(layer: Path, package: str, root: Path) -> None:
    script = f"import sys, json, {package}.app as app; app.handler; print(json.dumps(sorted(sys.modules)))"

    loaded = json.loads(run(script, layer, root))

    assert f"{package}.app" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_the_bundle_is_open_before_the_first_request(layer: Path) -> None:
    script = (
        "import predict.app as app, shutil, os; shutil.rmtree(os.environ['LAMBDA_LAYER_ROOT'] + '/bundle');"
        "print(app.handler({'resource': '/health'}, None)['statusCode'])"
    )
    copy = layer / "copy"
    make_bundle(copy / "bundle")

    assert run(script, copy, ROOT / "functions").endswith("200\n")


def write_runtime(folder: Path) -> None:
    """A stand-in for the module that Lambda's runtime carries: it keeps the hooks."""
    (folder / "snapshot_restore_py.py").write_text(
        "hooks, early = [], []\n"
        "register_after_restore, register_before_snapshot = hooks.append, early.append\n"
    )


def test_a_snapshot_holds_what_a_start_leaves_out(layer: Path, tmp_path: Path) -> None:
    write_runtime(tmp_path)
    script = """
import sys
import predict.app, snapshot_restore_py as runtime
def late():
    return [name in sys.modules for name in ("pybase64",)]
print(late())
for hook in runtime.early:
    hook()
print(late())
"""

    said = run(script, layer, ROOT / "functions", tmp_path)

    assert said == "[False]\n[True]\n"


def test_a_restored_snapshot_is_warmed(layer: Path, tmp_path: Path) -> None:
    write_runtime(tmp_path)
    script = """
import predict.routes, snapshot_restore_py as runtime
warmed, warm = [], predict.routes.Service.warm
predict.routes.Service.warm = lambda service: (warm(service), warmed.append(service))
import predict.app
del warmed[:]
for hook in runtime.hooks:
    hook()
print(warmed == [predict.app.service])
"""

    assert run(script, layer, ROOT / "functions", tmp_path) == "True\n"
