"""What the start of the function may cost: less than importing numpy and onnxruntime, which it does without.

Processor time of fresh interpreters in turn, not time on a clock: a busy machine changes it little, and what
it changes meets both alike.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from .tiny_bundle import make_bundle

ROOT = Path(__file__).parents[2]
ROUNDS = 3
BUDGET = 1.0
"""Measured: 0.6. With numpy it would be 1.3, with Powertools' resolver 1.1."""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Environment of a process that finds the function, compiled, and a bundle."""
    shutil.copytree(ROOT / "functions/predict", tmp_path / "code/predict")
    assert compileall.compile_dir(tmp_path / "code", quiet=1)
    make_bundle(tmp_path / "bundle")
    return {"PYTHONPATH": str(tmp_path / "code"), "LAMBDA_LAYER_ROOT": str(tmp_path)}


def processor_seconds(statement: str, variables: dict[str, str]) -> float:
    """User and system time that a fresh interpreter spends on ``statement``, its own start left out."""
    script = f"import time; before = time.process_time(); {statement}; print(time.process_time() - before)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_the_start_takes_less_than_importing_numpy_and_onnxruntime(places: dict[str, str]) -> None:
    statements = ("import predict.app", "import numpy, onnxruntime")
    # The first round reads files into memory, and compiles what was never imported before.
    rounds = [[processor_seconds(statement, places) for statement in statements] for _ in range(1 + ROUNDS)][
        1:
    ]

    share = median(ours / theirs for ours, theirs in rounds)

    assert share <= BUDGET, f"{share:.2f} of importing numpy and onnxruntime; see python -X importtime"
