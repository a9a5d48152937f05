"""Trees in ONNX say what LightGBM says, gaps and borders included."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from training.package.forest import ForestError, float32_below, forest_to_onnx
from training.package.scoring import Scorer

pytestmark = pytest.mark.torch


def matrix(rows: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows of a number with gaps, a number without, and a category's slots."""
    generator = np.random.default_rng(4)
    gappy = np.where(generator.random(rows) < 0.2, np.nan, generator.normal(size=rows))
    whole, slot = generator.normal(50, 20, rows), generator.integers(0, 6, rows)
    odds = np.where(np.isnan(gappy), 1.0, gappy) + (whole - 50) / 20 + (slot % 2)
    labels = (odds + generator.normal(size=rows) > 0.5).astype(np.float32)
    return np.column_stack([gappy, whole, slot]).astype(np.float32), labels


@pytest.fixture(scope="module")
def booster() -> Any:
    rows, labels = matrix(3000)
    parameters = {
        "objective": "binary",
        "num_leaves": 15,
        "verbose": -1,
        "num_threads": 1,
        "deterministic": True,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(rows, labels), 30)


def test_the_graph_says_what_the_trees_say(booster: Any) -> None:
    # Given rows that were not trained on, some with gaps where training had none, and values on the borders
    rows, _ = matrix(2000)
    rows[:100, 1] = np.nan
    borders = [tree["tree_structure"]["threshold"] for tree in booster.dump_model()["tree_info"]]
    rows[100 : 100 + len(borders), 0] = borders
    rows[200 : 200 + len(borders), 1] = borders
    # When both are asked
    answers = Scorer(forest_to_onnx(booster.dump_model(), 3))(rows)
    # Then
    np.testing.assert_allclose(answers, booster.predict(rows), atol=2e-6)


def test_converting_again_gives_the_same_bytes(booster: Any) -> None:
    assert forest_to_onnx(booster.dump_model(), 3) == forest_to_onnx(booster.dump_model(), 3)


@pytest.mark.parametrize("threshold", [0.1, -0.1, 1.0, 1e-40, 1e300, 16777217.0])
def test_a_border_is_rounded_so_that_every_float32_stays_on_its_side(threshold: float) -> None:
    border = np.float32(float32_below(threshold))
    with np.errstate(over="ignore"):
        above = np.nextafter(border, np.float32(np.inf))
    assert float(border) <= threshold
    assert float(above) > threshold or np.isinf(above)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"objective": "regression"}, "objective 'regression'"),
        ({"average_output": True}, "objective 'binary sigmoid:1'"),
        ({"decision_type": "=="}, "a split by =="),
        ({"missing_type": "Zero"}, "missing values of the kind Zero"),
    ],
)
def test_what_it_does_not_know_is_refused(changes: dict[str, Any], complaint: str) -> None:
    split = {
        "split_index": 0,
        "split_feature": 0,
        "threshold": 0.5,
        "decision_type": "<=",
        "default_left": True,
        "missing_type": "NaN",
        "left_child": {"leaf_value": 0.1},
        "right_child": {"leaf_value": -0.1},
    }
    dump = {
        "objective": "binary sigmoid:1",
        "tree_info": [{"tree_structure": {name: changes.get(name, value) for name, value in split.items()}}],
        **{name: value for name, value in changes.items() if name not in split},
    }
    with pytest.raises(ForestError, match=complaint):
        forest_to_onnx(dump, 1)
