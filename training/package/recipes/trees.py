"""Gradient-boosted trees: another family of model, trained here on the same rows.

Categories are their slots, which are ordered by frequency, so that every split is a plain comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.package.candidate import Candidate, UnavailableError
from training.package.forest import forest_to_onnx
from training.package.graphs import Graphs
from training.package.progress import Progress
from training.package.workbench import Workbench

_RATE_AND_TREES = 10.0
"""Learning rate times the number of trees: more trees take smaller steps."""


def make(bench: Workbench) -> Iterator[Candidate]:
    """Yield the trees. Raises UnavailableError where LightGBM cannot be loaded."""
    lightgbm = _lightgbm()
    booster = _train(lightgbm, bench)
    graph = forest_to_onnx(booster.dump_model(), bench.matrix.shape[1])

    def score(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(booster.predict(rows), dtype=np.float32)

    yield Candidate(
        name="trees",
        made=f"{booster.num_trees()} gradient-boosted trees of LightGBM {lightgbm.__version__}",
        graphs=Graphs(batch=graph, single=graph),
        reference=score,
    )


def _lightgbm() -> Any:
    try:
        import lightgbm  # noqa: PLC0415 (absent where the image lacks what it needs)
    except (ImportError, OSError) as error:
        raise UnavailableError(
            f"LightGBM cannot be loaded here ({error}). Its wheel is carried along and needs the image's "
            "scipy and libgomp; leave trees out of [model.optimise] candidates, or use an image that has both"
        ) from error
    return lightgbm


def _train(lightgbm: Any, bench: Workbench) -> Any:
    settings = bench.settings
    parameters = {
        "objective": "binary",
        "num_leaves": settings.leaves,
        "learning_rate": min(0.2, _RATE_AND_TREES / settings.trees),
        "min_data_in_leaf": max(5, min(100, len(bench.matrix) // 1000)),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "seed": bench.trained.training.seed,
        # The same trees from the same rows, whatever the machine finds faster today.
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(bench.matrix, bench.labels, params=parameters, free_raw_data=False)
    return lightgbm.train(parameters, data, settings.trees, callbacks=[_progress(settings.trees)])


def _progress(trees: int) -> Any:
    progress = Progress("trees", trees)
    return lambda environment: progress.tell(environment.iteration + 1)
