"""Raw CSV tables as they are: every field a string, every line that has not the header's shape marked."""

from __future__ import annotations

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from contract.errors import listing
from contract.schema import Table
from training.preprocess.errors import PreprocessError
from training.preprocess.journal import note

MALFORMED = "__malformed"
"""The whole line, where it has too few or too many fields or a quote that never ends; else null."""


def read(spark: SparkSession, folder: str, name: str, table: Table) -> DataFrame:
    """The contract's columns of all CSV files in ``folder``, as strings, and ``MALFORMED``.

    Fields are read as text so that a bad one can be named; ``clean`` gives them their types.
    Raises PreprocessError if there is no file or a declared column is not in its header.
    """
    reader = spark.read.options(
        header=True,
        nullValue=table.null,
        escape='"',
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=MALFORMED,
        # Files of one table must agree on the header; a field is malformed even if nobody selects it.
        enforceSchema=False,
        columnPruning=False,
    )
    header = _header(reader, folder, name)
    _check(header, folder, name, table)
    fields = [StructField(column, StringType()) for column in (*header, MALFORMED)]
    return reader.schema(StructType(fields)).csv(folder).select(*table.columns, MALFORMED)


def _header(reader: DataFrameReader, folder: str, name: str) -> list[str]:
    try:
        return list(reader.csv(folder).columns)
    except AnalysisException as fault:
        raise PreprocessError(
            f"table {name}: nothing to read at {folder}: upload its CSV (millrace ingest). {_line(fault)}"
        ) from fault


def _line(fault: Exception) -> str:
    return str(fault).splitlines()[0]


def _check(header: list[str], folder: str, name: str, table: Table) -> None:
    missing = [column for column in table.columns if column not in header]
    if missing:
        raise PreprocessError(
            f"table {name}: the header of {folder} lacks {listing(missing)}; it has {listing(header)[:500]}. "
            "Is it the right file, unzipped, with a header?"
        )
    unread = [column for column in header if column not in table.columns]
    if unread:
        note("columns not in the contract are not read", table=name, columns=unread)
