"""Runs ``features.sql`` over the cleaned tables and holds its result to the contract."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.checks import LEAK, after_the_fact
from contract.errors import listing
from contract.schema import Contract, Feature
from training.preprocess.errors import PreprocessError

ID = "example_id"
TIME = "event_time"
LABEL = "label"
SPARK_TYPES = {"number": "float", "category": "string"}


def features(spark: SparkSession, contract: Contract, tables: Mapping[str, DataFrame]) -> DataFrame:
    """One row per example: ``ID``, ``TIME`` (UTC) and every feature in the contract's order and type.

    Raises PreprocessError if the SQL does not run, or returns other columns than the contract declares.
    """
    register(tables)
    try:
        rows = spark.sql(contract.features_sql)
    except AnalysisException as fault:
        raise PreprocessError(f"features.sql does not run: {_line(fault)}") from fault
    _check(contract, rows.columns)
    declared = [
        F.col(name).cast(SPARK_TYPES[feature.kind]).alias(name) for name, feature in contract.features.items()
    ]
    return rows.select(
        example_id(contract), F.col(contract.example.event_time).cast("timestamp").alias(TIME), *declared
    )


def labels(contract: Contract, tables: Mapping[str, DataFrame]) -> DataFrame:
    """``ID`` and ``LABEL`` (1, 0 or null) of every row of the example's table."""
    try:
        label = F.expr(f"CAST(({contract.label.sql}) AS BOOLEAN)").cast("float").alias(LABEL)
        return tables[contract.example.table].select(example_id(contract), label)
    except AnalysisException as fault:
        raise PreprocessError(f"contract.toml: label.sql does not run: {_line(fault)}") from fault


def register(tables: Mapping[str, DataFrame]) -> None:
    """Makes ``tables`` known to SQL under their names."""
    for name, table in tables.items():
        table.createOrReplaceTempView(name)


def keys(contract: Contract) -> tuple[str, ...]:
    """The columns that identify an example."""
    return contract.tables[contract.example.table].key


def example_id(contract: Contract) -> Column:
    """The values of an example's key, joined by |."""
    return F.concat_ws("|", *[F.col(name).cast("string") for name in keys(contract)]).alias(ID)


def _check(contract: Contract, columns: list[str]) -> None:
    late = after_the_fact(contract)
    wanted = {*keys(contract), contract.example.event_time, *contract.features}
    for name in columns:
        if name.lower() in late:
            raise PreprocessError(f"features.sql returns {name}, which leaks {late[name.lower()]}. {LEAK}")
    twice = sorted({name for name in columns if columns.count(name) > 1})
    missing = sorted(wanted - set(columns))
    unknown = sorted(set(columns) - wanted)
    for problem, names in (("lacks", missing), ("returns twice", twice), ("returns undeclared", unknown)):
        if names:
            raise PreprocessError(
                f"features.sql {problem} {listing(names)}. It returns exactly the key of "
                f"{contract.example.table}, {contract.example.event_time} and the contract's features."
            )


def numbers(chosen: Mapping[str, Feature]) -> list[str]:
    """Names of the numbers among ``chosen``."""
    return [name for name, feature in chosen.items() if feature.kind == "number"]


def categories(chosen: Mapping[str, Feature]) -> list[str]:
    """Names of the categories among ``chosen``."""
    return [name for name, feature in chosen.items() if feature.kind == "category"]


def _line(fault: Exception) -> str:
    return str(fault).splitlines()[0]
