"""Describes every feature in every split, in two aggregations over the examples.

The profile of the training split is the baseline that monitoring compares with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import SPLITS, Feature, Split
from training.preprocess.features import LABEL, categories, numbers
from training.preprocess.split import SPLIT

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
ACCURACY = 1000
"""Quantiles are right to a rank of rows / ACCURACY."""
BINS = 20
MOST_VALUES = 10_000

Statistics = dict[str, dict[str, Any]]
"""Per split: ``rows``, ``positives`` and, per number, its description without histogram."""
Counts = dict[tuple[str, str], dict[str | None, int]]
"""Per split and feature: rows per value of a category, per bin of a number; under None the nulls."""


def statistics(examples: DataFrame, features: Mapping[str, Feature]) -> Statistics:
    """Rows, positives and the moments and quantiles of each number, per split."""
    measures = [measure for name in numbers(features) for measure in _measures(name)]
    rows = examples.groupBy(SPLIT).agg(F.count("*").alias("rows"), F.sum(LABEL).alias("positives"), *measures)
    return {row[SPLIT]: _described(row.asDict(), numbers(features)) for row in rows.collect()}


def _measures(name: str) -> list[Column]:
    value = F.col(name)
    described = {
        "count": F.count(value),
        "mean": F.avg(value),
        "std": F.stddev_samp(value),
        "min": F.min(value),
        "max": F.max(value),
        "quantiles": F.percentile_approx(value, list(QUANTILES), ACCURACY),
    }
    return [measure.alias(f"{name}.{what}") for what, measure in described.items()]


def _described(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    described = {}
    for name in names:
        quantiles = row[f"{name}.quantiles"] or [None] * len(QUANTILES)
        described[name] = {
            "kind": "number",
            "nulls": row["rows"] - row[f"{name}.count"],
            **{what: row[f"{name}.{what}"] for what in ("mean", "std", "min", "max")},
            "quantiles": {f"{share:g}": value for share, value in zip(QUANTILES, quantiles, strict=True)},
        }
    return {"rows": row["rows"], "positives": int(row["positives"]), "numbers": described}


def nothing(features: Mapping[str, Feature]) -> dict[str, Any]:
    """The statistics of a split without rows."""
    row: dict[str, Any] = {"rows": 0, "positives": 0}
    for name in numbers(features):
        row |= {f"{name}.{what}": None for what in ("mean", "std", "min", "max", "quantiles")}
        row[f"{name}.count"] = 0
    return _described(row, numbers(features))


def edges(described: Mapping[str, Any]) -> list[float]:
    """BINS + 1 edges of equal bins between the 1 % and 99 % quantiles of the training split.

    The first and the last bin are open: what lies outside is counted in them.
    """
    low, high = described["quantiles"]["0.01"], described["quantiles"]["0.99"]
    if low is None:
        low, high = 0.0, 1.0
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [low + (high - low) * step / BINS for step in range(BINS + 1)]


def counts(examples: DataFrame, features: Mapping[str, Feature], bins: Mapping[str, list[float]]) -> Counts:
    """Rows per split, feature and value (or bin), the MOST_VALUES most frequent values of each."""
    cells = [_cell(name, F.col(name)) for name in categories(features)]
    cells += [_cell(name, _bin(F.col(name), bins[name])) for name in numbers(features)]
    found = (
        examples.select(SPLIT, F.explode(F.array(*cells)).alias("cell"))
        .groupBy(SPLIT, "cell.name", "cell.value")
        .count()
    )
    result: Counts = defaultdict(dict)
    for row in _most_frequent(found).collect():
        result[row[SPLIT], row["name"]][row["value"]] = row["count"]
    return result


def _cell(name: str, value: Column) -> Column:
    return F.struct(F.lit(name).alias("name"), value.cast("string").alias("value"))


def _bin(value: Column, bounds: list[float]) -> Column:
    """The bin of ``value`` counted from 0; null for null."""
    low, width = bounds[0], (bounds[-1] - bounds[0]) / BINS
    place = F.floor((value.cast("double") - low) / width)
    return F.greatest(F.lit(0), F.least(F.lit(BINS - 1), place)) + F.when(value.isNull(), None).otherwise(0)


def _most_frequent(found: DataFrame) -> DataFrame:
    order = Window.partitionBy(SPLIT, "name").orderBy(F.desc("count"), "value")
    return found.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= MOST_VALUES + 1)


def profile(
    measured: Statistics, counted: Counts, features: Mapping[str, Feature], bins: Mapping[str, list[float]]
) -> dict[Split, Any]:
    """The ``splits`` of ``profile.json`` for ``features``."""
    return {name: _split(name, measured, counted, features, bins) for name in SPLITS if name in measured}


def _split(
    name: Split,
    measured: Statistics,
    counted: Counts,
    features: Mapping[str, Feature],
    bins: Mapping[str, list[float]],
) -> dict[str, Any]:
    described: dict[str, Any] = {}
    for feature, declared in features.items():
        found = counted[name, feature]
        if declared.kind == "number":
            histogram = {"edges": bins[feature], "counts": [found.get(str(at), 0) for at in range(BINS)]}
            described[feature] = _finite({**measured[name]["numbers"][feature], "histogram": histogram})
        else:
            described[feature] = _category(found, measured[name]["rows"])
    return {"rows": measured[name]["rows"], "positives": measured[name]["positives"], "features": described}


def _category(found: Mapping[str | None, int], rows: int) -> dict[str, Any]:
    values = {value: count for value, count in found.items() if value is not None}
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    nulls = found.get(None, 0)
    other = rows - nulls - sum(count for _, count in ordered)
    return {"kind": "category", "nulls": nulls, "values": dict(ordered), "other": other}


def _finite(described: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what a single row leaves undefined is null."""
    return {
        what: None if isinstance(value, float) and not math.isfinite(value) else value
        for what, value in described.items()
    }
