"""Checks that features are the same as if they had been computed when they were needed.

At a cut-off inside the data, all columns known only after the fact are emptied in every row of that moment or
later: nobody could know them then. Features of the examples of that very moment must not change. A leak under
another name does: it reads the outcome itself, or rows of the future.

Both computations see the same days around the cut-off only. That keeps them cheap and cannot raise a false
alarm. Two kinds of leak stay unseen: one that only reads further ahead than ``AHEAD``, and one that reads the
outcome of a row from before the cut-off that was not known yet at the cut-off (a flight still in the air).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import Contract, Table
from training.preprocess.features import ID, LABEL, TIME, example_id, features, keys, register
from training.preprocess.quality import Verdict

BEHIND = timedelta(days=14)
AHEAD = timedelta(days=2)
ENOUGH = 20
"""Examples to compare; where moments are shared by few, so many cut-offs are tried, but no more than"""
CUT_OFFS = 3
TOLERANCE = 1e-5
SMALL_DATA = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "1",
}
OF, AT = "__example", "__at"


def judge_point_in_time(
    spark: SparkSession, contract: Contract, tables: Mapping[str, DataFrame], rows: DataFrame
) -> Verdict:
    """How many feature values change; ``rows`` has ``ID``, ``TIME`` and ``LABEL`` of every example."""
    compared, changes = 0, dict.fromkeys(contract.features, 0)
    with _small_data(spark):
        for moment, count in _cut_offs(rows):
            found = _changes(spark, contract, tables, rows, moment)
            changes = {name: changes[name] + found[name] for name in changes}
            compared += count
            if compared >= ENOUGH:
                break
    register(tables)
    knowing = [name for name, count in changes.items() if count]
    return Verdict(
        name="point in time",
        table="examples",
        sql=f"values that change in {compared} examples once what was not known yet is emptied",
        max=0,
        value=float(sum(changes.values())),
        detail=f"features that know the future: {', '.join(knowing)}" if knowing else "",
    )


@contextmanager
def _small_data(spark: SparkSession) -> Iterator[None]:
    """A few thousand rows: planning, compiling and shuffling would cost more than the work itself."""
    before = {name: spark.conf.get(name) for name in SMALL_DATA}
    try:
        for name, value in SMALL_DATA.items():
            spark.conf.set(name, value)
        yield
    finally:
        for name, former in before.items():
            spark.conf.set(name, str(former))


def _cut_offs(rows: DataFrame) -> list[tuple[int, int]]:
    """The moments (µs since 1970) that most labelled examples share, with how many do."""
    labelled = rows.where(F.col(LABEL).isNotNull()).groupBy(F.unix_micros(TIME).alias("at")).count()
    first = labelled.orderBy(F.desc("count"), "at").limit(CUT_OFFS).collect()
    return [(row["at"], row["count"]) for row in first]


def _changes(
    spark: SparkSession, contract: Contract, tables: Mapping[str, DataFrame], rows: DataFrame, moment: int
) -> dict[str, int]:
    """Per feature, how many examples of ``moment`` have another value."""
    times = _times_around(rows, moment)
    near = {name: _near(contract, table, times) for name, table in tables.items()}
    emptied = {name: _emptied(contract.tables[name], table, moment) for name, table in near.items()}
    then = features(spark, contract, emptied).alias("then")
    now = features(spark, contract, near).where(F.unix_micros(TIME) == moment).alias("now")
    pairs = now.join(then, F.col(f"now.{ID}") == F.col(f"then.{ID}"), "left")
    changed = [F.count_if(_differs(name)).alias(name) for name in contract.features]
    row = pairs.agg(*changed).first()
    assert row is not None
    for table in near.values():
        table.unpersist()  # harmless for those that stayed whole
    return row.asDict()


def _times_around(rows: DataFrame, moment: int) -> DataFrame:
    at = F.unix_micros(TIME)
    first = moment - BEHIND // timedelta(microseconds=1)
    last = moment + AHEAD // timedelta(microseconds=1)
    return rows.where(at.between(first, last)).select(F.col(ID).alias(OF), at.alias(AT))


def _near(contract: Contract, table: DataFrame, times: DataFrame) -> DataFrame:
    """The rows of ``table`` that belong to examples around the cut-off, with the example's time as ``AT``.

    A table without the example's key has no time of its own and stays whole.
    """
    if not set(keys(contract)) <= set(table.columns):
        return table
    return table.join(F.broadcast(times), example_id(contract) == F.col(OF)).drop(OF).cache()


def _emptied(declared: Table, table: DataFrame, moment: int) -> DataFrame:
    if AT not in table.columns:
        return table
    known = F.col(AT) < moment
    late = set(declared.after_the_fact)
    return table.select(
        *[F.when(known, F.col(name)).alias(name) if name in late else name for name in table.columns]
    )


def _differs(name: str) -> Column:
    """Not the same value, or no row at all (an outcome decided whether there is one)."""
    now, then = F.col(f"now.{name}"), F.col(f"then.{name}")
    equal = now.eqNullSafe(then)
    near = F.abs(now - then) <= TOLERANCE * (1 + F.abs(now))
    return F.col(f"then.{ID}").isNull() | ~(equal | F.coalesce(near, F.lit(False)))
