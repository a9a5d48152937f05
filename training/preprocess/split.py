"""Splits examples by time, so that a model is measured on days that it could not have seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import Period, Split
from training.preprocess.features import LABEL, TIME

SPLIT = "split"


def split_by_time(rows: DataFrame, periods: Mapping[Split, Period]) -> DataFrame:
    """``rows`` with ``SPLIT``: the period that holds the event time, null outside all of them."""
    moment = F.col(TIME)
    branches = [
        F.when((moment >= _midnight(period.start)) & (moment < _midnight(period.end)), F.lit(name))
        for name, period in periods.items()
    ]
    return rows.withColumn(SPLIT, F.coalesce(*branches))


def usable(rows: DataFrame) -> DataFrame:
    """The rows that have both a label and a split."""
    return rows.where(F.col(LABEL).isNotNull() & F.col(SPLIT).isNotNull())


def unlabelled(rows: DataFrame, periods: Mapping[Split, Period]) -> DataFrame:
    """Recent rows whose outcome is not known: since training began, and not from the days of the test split.

    A student may learn on them what its teacher thinks.
    """
    recent = F.col(TIME) >= _midnight(periods["train"].start)
    elsewhere = F.col(SPLIT).isNull() | (F.col(SPLIT) != F.lit("test"))
    return rows.where(F.col(LABEL).isNull() & recent & elsewhere)


def left_out(rows: DataFrame) -> dict[str, int]:
    """How many rows are not usable, and why."""
    unlabelled = F.col(LABEL).isNull()
    counts = rows.agg(
        F.count_if(unlabelled).alias("unlabelled"),
        F.count_if(~unlabelled & F.col(SPLIT).isNull()).alias("outside_split"),
    ).first()
    assert counts is not None
    return counts.asDict()


def _midnight(day: date) -> Column:
    return F.lit(datetime(day.year, day.month, day.day, tzinfo=UTC))
