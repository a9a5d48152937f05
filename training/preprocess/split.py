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


def _midnight(day: date) -> Column:
    return F.lit(datetime(day.year, day.month, day.day, tzinfo=UTC))
