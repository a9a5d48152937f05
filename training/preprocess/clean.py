"""From strings to typed rows: each row is either clean or in quarantine with a reason."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.schema import Column, ColumnType, Table
from training.preprocess.read import MALFORMED

REASON = "__reason"
RAW = "__raw"
SPARK_TYPES: dict[ColumnType, str] = {
    "integer": "bigint",
    "number": "double",
    "text": "string",
    "boolean": "boolean",
    "timestamp": "timestamp",
}
# try_cast is strict with integers, but to it "1d" and "NaN" are numbers and "y" is true.
PATTERNS: dict[ColumnType, str] = {
    "number": "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$",
    "boolean": "(?i)^(true|false)$",
}


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of a table's rows: ``read`` = quarantined + duplicates + kept."""

    read: int
    reasons: dict[str, int]
    duplicates: int
    kept: int

    @property
    def quarantined(self) -> int:
        """Rows that a rule sent to quarantine."""
        return sum(self.reasons.values())

    def as_json(self) -> dict[str, object]:
        """The form of ``quality.json``."""
        return {
            "read": self.read,
            "quarantined": self.quarantined,
            "reasons": dict(sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))),
            "duplicates": self.duplicates,
            "kept": self.kept,
        }


def judge(raw: DataFrame, table: Table) -> DataFrame:
    """``raw`` with typed columns and, for a row that breaks a rule, ``REASON`` and the strings in ``RAW``.

    The reason names the first column in the contract's order that breaks one, and its rule.
    """
    names = list(table.columns)
    original = F.struct(*names, F.col(MALFORMED).alias("line")).alias(RAW)
    typed = raw.select(*[_typed(name, column) for name, column in table.columns.items()], original)
    judged = typed.withColumn(REASON, _reason(table))
    return judged.withColumn(RAW, F.when(F.col(REASON).isNotNull(), F.col(RAW)))


def _typed(name: str, column: Column) -> Expression:
    if column.type == "text":
        trimmed = F.trim(F.col(name))
        return _spelt(F.when(trimmed != "", trimmed), column).alias(name)
    text = f"`{name}`"
    if column.type in PATTERNS:
        text = f"IF(TRIM({text}) RLIKE '{PATTERNS[column.type]}', {text}, NULL)"
    # PySpark 3.5 knows try_cast in SQL only; it trims by itself.
    return F.expr(f"try_cast({text} AS {SPARK_TYPES[column.type]})").alias(name)


def _spelt(value: Expression, column: Column) -> Expression:
    pairs = [
        F.lit(text)
        for canonical, variants in column.spellings.items()
        for variant in variants
        for text in (variant, canonical)
    ]
    return F.coalesce(F.create_map(*pairs)[value], value) if pairs else value


def _reason(table: Table) -> Expression:
    malformed = F.when(F.col(RAW)["line"].isNotNull(), F.lit("line has not the header's number of fields"))
    rules = [rule for name, column in table.columns.items() for rule in _rules(name, column)]
    return F.coalesce(malformed, *[F.when(broken, F.lit(reason)) for broken, reason in rules])


def _rules(name: str, column: Column) -> list[tuple[Expression, str]]:
    value, raw = F.col(name), F.col(RAW)[name]
    blank = raw.isNull() | (F.trim(raw) == "")
    rules = []
    if column.required:
        rules.append((value.isNull() & blank, f"{name} is missing"))
    if column.type != "text":
        unread = value.isNull() & ~blank
        if column.type == "number":
            unread = unread | (F.abs(value) == float("inf"))
        rules.append((unread, f"{name} is not of type {column.type}"))
    if column.min is not None:
        rules.append((value < column.min, f"{name} is below {column.min:g}"))
    if column.max is not None:
        rules.append((value > column.max, f"{name} is above {column.max:g}"))
    return rules


def reasons(judged: DataFrame) -> dict[str | None, int]:
    """Rows per reason; under None the good ones."""
    return {row[REASON]: row["count"] for row in judged.groupBy(REASON).count().collect()}


def quarantined(judged: DataFrame) -> DataFrame:
    """The rows that broke a rule: ``reason`` and ``row``, the fields as they arrived."""
    return judged.where(F.col(REASON).isNotNull()).select(
        F.col(REASON).alias("reason"), F.col(RAW).alias("row")
    )


def distinct(judged: DataFrame, table: Table) -> DataFrame:
    """The good rows, typed, one per key. Of rows that share a key, the same one stays on every run."""
    names = list(table.columns)
    good = judged.where(F.col(REASON).isNull()).select(*names)
    # Sorting all rows costs far more than counting keys, and most tables have each key once.
    if good.groupBy(*table.key).count().where("count > 1").isEmpty():
        return good
    rank = F.row_number().over(Window.partitionBy(*table.key).orderBy(F.xxhash64(*names)))
    return good.withColumn("__rank", rank).where("__rank = 1").drop("__rank")
