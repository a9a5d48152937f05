"""Drops features that say nothing: constant ones, and numbers that another number tells already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.ml.feature import VectorAssembler
from pyspark.ml.stat import Correlation
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import Contract, Feature
from training.preprocess.features import numbers
from training.preprocess.profiling import Counts, Statistics
from training.preprocess.split import SPLIT


def constants(features: Mapping[str, Feature], measured: Statistics, counted: Counts) -> dict[str, str]:
    """Names of features with a single value (or none) in the training split, each with the reason."""
    train = measured["train"]
    return {
        name: "constant in the training split"
        for name, feature in features.items()
        if not feature.keep and _distinct(name, feature, train, counted) <= 1
    }


def _distinct(name: str, feature: Feature, train: Mapping[str, Any], counted: Counts) -> int:
    """How many different values there are, a missing one among them; 2 stands for more."""
    if feature.kind == "category":
        return len(counted["train", name])
    described = train["numbers"][name]
    values = 0 if described["min"] is None else 1 if described["min"] == described["max"] else 2
    return values + int(described["nulls"] > 0)


def redundant(
    examples: DataFrame, contract: Contract, chosen: Mapping[str, Feature], measured: Statistics
) -> dict[str, str]:
    """Names of numbers that an earlier one tells already (|Pearson r| above the contract's limit).

    A missing value stands at the mean, so a copy that is missing elsewhere is less redundant.
    """
    names = numbers(chosen)
    if len(names) < 2:
        return {}
    train = examples.where(F.col(SPLIT) == "train")
    r = _correlations(train, names, {name: measured["train"]["numbers"][name]["mean"] for name in names})
    dropped: dict[str, str] = {}
    for later, name in enumerate(names):
        for earlier, other in enumerate(names[:later]):
            strength = abs(r[earlier][later])
            if (
                other not in dropped
                and not chosen[name].keep
                and strength > contract.selection.redundant_above
            ):
                dropped[name] = f"redundant: |r| = {strength:.3f} with {other}"
                break
    return dropped


def _correlations(train: DataFrame, names: list[str], means: Mapping[str, float | None]) -> Any:
    """The matrix of Pearson's r, [names × names]."""
    filled = [F.coalesce(F.col(name), F.lit(means[name] or 0.0)).cast("double").alias(name) for name in names]
    vectors = VectorAssembler(inputCols=names, outputCol="v").transform(train.select(*filled))
    matrix = Correlation.corr(vectors, "v").first()
    assert matrix is not None
    return matrix[0].toArray()
