"""Makes a finished run the one that readers see: tables first, then one small file, last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from contract.schema import SPLITS, Contract, Table
from training.preprocess.clean import SPARK_TYPES
from training.preprocess.features import ID, LABEL, TIME
from training.preprocess.files import write_json
from training.preprocess.split import SPLIT

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
KINDS = {"number": "float", "category": "string"}


def publish(spark: SparkSession, uri: str, prefix: str) -> None:
    """Points readers to the run under ``prefix``; until now they saw the former one."""
    write_json(spark, uri, {"run": run_of(prefix), "prefix": prefix})


def run_of(prefix: str) -> str:
    """The run's name: the last part of its prefix."""
    return prefix.rstrip("/").rsplit("/", 1)[-1]


def catalogue(glue: Any, database: str, contract: Contract, prefix: str, kept: list[str]) -> list[str]:
    """Creates the tables in the Glue Data Catalog, or moves them to ``prefix``; returns their names.

    ``glue`` is a boto3 client. Each table moves in one call, so a query reads one run or the other.
    """
    tables = [_cleaned(name, table, prefix) for name, table in contract.tables.items()]
    tables.append(_examples(contract, prefix, kept))
    for table in tables:
        _put(glue, database, table)
    return [table["Name"] for table in tables]


def _put(glue: Any, database: str, table: dict[str, Any]) -> None:
    try:
        glue.update_table(DatabaseName=database, TableInput=table)
    except glue.exceptions.EntityNotFoundException:
        glue.create_table(DatabaseName=database, TableInput=table)


def _cleaned(name: str, table: Table, prefix: str) -> dict[str, Any]:
    columns = {column: SPARK_TYPES[declared.type] for column, declared in table.columns.items()}
    return _table(name, f"{prefix}/tables/{name}", columns)


def _examples(contract: Contract, prefix: str, kept: list[str]) -> dict[str, Any]:
    location = f"{prefix}/examples"
    columns = {ID: "string", TIME: "timestamp", LABEL: "float"}
    columns |= {name: KINDS[contract.features[name].kind] for name in kept}
    table = _table(f"{contract.name}_examples", location, columns)
    table["PartitionKeys"] = [{"Name": SPLIT, "Type": "string"}]
    # Athena works the partitions out instead of looking them up, so that none has to be registered.
    table["Parameters"] |= {
        "projection.enabled": "true",
        f"projection.{SPLIT}.type": "enum",
        f"projection.{SPLIT}.values": ",".join(SPLITS),
        "storage.location.template": f"{location}/{SPLIT}=${{{SPLIT}}}",
    }
    return table


def _table(name: str, location: str, columns: Mapping[str, str]) -> dict[str, Any]:
    return {
        # The catalogue and Athena know lower-case names with _ only.
        "Name": name.lower().replace("-", "_"),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
        "StorageDescriptor": {
            "Columns": [{"Name": column.lower(), "Type": kind} for column, kind in columns.items()],
            "Location": f"{location}/",
            **PARQUET,
        },
    }
