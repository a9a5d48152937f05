"""From a folder of raw files to a published run, and what stops it on the way."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from contract.errors import ContractError
from contract.load import load
from tests.workload_factory import CONTRACT, DEPOTS, FEATURES, PARCELS, make_workload, parcels, write_csv
from training.preprocess.errors import BrokenRuleError, PreprocessError
from training.preprocess.job import Settings, run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

ROWS = 600
GOOD = ["p9", "2024-03-01T00:00:00Z", "north", "2.5", "300", "false", "0.5", "false"]
DIRT = {
    "distance is not of type integer": {"distance": "12x"},
    "weight is not of type number": {"weight": "1d"},
    "express is not of type boolean": {"express": "perhaps"},
    "posted_at is not of type timestamp": {"posted_at": "yesterday"},
    "weight is above 100": {"weight": "100.5"},
    "distance is below 0": {"distance": "-1"},
    "depot is missing": {"depot": "  "},
    "parcel_id is missing": {"parcel_id": ""},
}
WRONG_SHAPE = "line has not the header's number of fields"


@dataclass
class Place:
    """A workload's folder and where its run goes."""

    folder: Path

    @property
    def settings(self) -> Settings:
        return Settings(
            workload=str(self.folder),
            raw=str(self.folder / "raw"),
            output=str(self.folder / "runs" / "r1"),
            published=str(self.folder / "published.json"),
        )

    def report(self, name: str) -> Any:
        return json.loads((self.folder / "runs" / "r1" / "reports" / f"{name}.json").read_text())

    def parquet(self, spark: SparkSession, part: str) -> DataFrame:
        return spark.read.parquet(f"{self.settings.output}/{part}")

    def edit(self, file: str, old: str, new: str) -> None:
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def run(self, spark: SparkSession) -> None:
        run(spark, load(self.folder), self.settings)

    @property
    def published(self) -> Any:
        file = self.folder / "published.json"
        return json.loads(file.read_text()) if file.exists() else None


def dirty_lines() -> list[list[str]]:
    """Lines that each break one rule, and good ones that are spelt or repeated oddly."""
    lines = []
    for number, change in enumerate(DIRT.values()):
        fields = dict(zip(PARCELS, [f"bad{number}", *GOOD[1:]], strict=True)) | change
        lines.append([fields[name] for name in PARCELS])
    short, long = ["short", *GOOD[1:-1]], ["long", *GOOD[1:], "and more"]
    spelt = [["variant", GOOD[1], " NORTH ", *GOOD[3:]], ["spaced", GOOD[1], "east", " 7 ", *GOOD[4:]]]
    twice = [["twice", *GOOD[1:]], ["twice", *GOOD[1:]], ["twice", GOOD[1], "south", *GOOD[3:]]]
    return [*lines, short, long, *spelt, *twice]


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run over data with every kind of dirt in it, published."""
    place = Place(make_workload(tmp_path_factory.mktemp("parcels") / "w", rows=ROWS, seed=3))
    with (place.folder / "raw" / "parcels" / "parcels.csv").open("a", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(dirty_lines())
    place.run(spark)
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(make_workload(tmp_path / "w", rows=200, seed=5))


def test_given_dirt_then_each_bad_row_is_counted_under_its_reason(finished: Place) -> None:
    tally = finished.report("quality")["tables"]["parcels"]

    assert tally["reasons"] == {WRONG_SHAPE: 2, **dict.fromkeys(DIRT, 1)}
    assert tally["read"] == ROWS + len(dirty_lines())
    assert tally["quarantined"] == len(DIRT) + 2
    assert tally["duplicates"] == 2
    assert tally["kept"] == ROWS + 3


def test_given_dirt_then_the_quarantine_holds_the_rows_as_they_came(
    spark: SparkSession, finished: Place
) -> None:
    found = spark.read.json(f"{finished.settings.output}/quarantine/parcels").collect()
    rows = {row["reason"]: row["row"].asDict() for row in found}

    assert len(found) == len(DIRT) + 2
    assert rows["distance is not of type integer"]["distance"] == "12x"
    assert rows["weight is above 100"]["weight"] == "100.5"
    lines = {row["row"]["line"] for row in found if row["reason"] == WRONG_SHAPE}
    assert lines == {",".join(["short", *GOOD[1:-1]]), ",".join(["long", *GOOD[1:], "and more"])}


def test_given_variants_and_blanks_then_cleaned_rows_are_uniform(
    spark: SparkSession, finished: Place
) -> None:
    rows = {row["parcel_id"]: row for row in finished.parquet(spark, "tables/parcels").collect()}

    assert rows["variant"]["depot"] == "north"
    assert rows["spaced"]["weight"] == 7.0
    assert sum(row["parcel_id"] == "twice" for row in rows.values()) == 1
    assert not any(name.startswith(("bad", "short", "long")) for name in rows)


def test_given_nothing_new_in_a_feature_then_it_is_dropped_with_the_reason(
    spark: SparkSession, finished: Place
) -> None:
    report = finished.report("features")
    dropped = {entry["name"]: entry["reason"] for entry in report["dropped"]}

    assert dropped["planet"] == "constant in the training split"
    assert dropped["distance_miles"] == "redundant: |r| = 1.000 with distance"
    names = [entry["name"] for entry in report["features"]]
    assert names == ["depot", "region", "weight", "distance", "express", "depot_lateness"]
    columns = finished.parquet(spark, "examples").columns
    assert columns == ["example_id", "event_time", "label", *names, "split"]


def test_given_examples_then_they_are_typed_labelled_and_split_by_time(
    spark: SparkSession, finished: Place
) -> None:
    examples = finished.parquet(spark, "examples")
    spans = examples.groupBy("split").agg({"event_time": "max", "label": "avg"}).collect()
    last = {row["split"]: row["max(event_time)"].month for row in spans}

    assert dict(examples.dtypes)["distance"] == "float"
    assert dict(examples.dtypes)["label"] == "float"
    assert dict(examples.dtypes)["event_time"] == "timestamp"
    assert last == {"train": 8, "validate": 10, "test": 12}
    assert all(0 < row["avg(label)"] < 1 for row in spans)
    unlabelled = finished.report("quality")["unlabelled"]
    assert unlabelled > 0
    assert examples.count() == finished.report("quality")["tables"]["parcels"]["kept"] - unlabelled


def test_given_rows_without_an_outcome_then_the_recent_ones_are_written_apart(
    spark: SparkSession, finished: Place
) -> None:
    apart = finished.parquet(spark, "unlabelled")
    moments = [row["event_time"] for row in apart.collect()]

    names = [entry["name"] for entry in finished.report("features")["features"]]
    assert apart.columns == ["example_id", "event_time", *names]
    assert 0 < len(moments) < finished.report("quality")["unlabelled"]
    assert all(datetime(2024, 1, 1) <= moment < datetime(2024, 11, 1) for moment in moments)


def test_given_a_profile_then_it_says_what_the_examples_hold(spark: SparkSession, finished: Place) -> None:
    profile = finished.report("profile")
    train = finished.parquet(spark, "examples").where("split = 'train'").collect()
    weights = [row["weight"] for row in train if row["weight"] is not None]
    depots = [row["depot"] for row in train]
    described = profile["splits"]["train"]

    assert profile["contract_sha256"] == load(finished.folder).sha256
    made_at = datetime.strptime(profile["made_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    written = (finished.folder / "runs/r1/reports/profile.json").stat().st_mtime
    assert -1 < written - made_at.timestamp() < 3600, "a run says when it was"
    assert described["rows"] == len(train)
    assert described["positives"] == sum(row["label"] for row in train)
    weight = described["features"]["weight"]
    assert weight["nulls"] == len(train) - len(weights)
    assert weight["mean"] == pytest.approx(sum(weights) / len(weights), rel=1e-5)
    assert (weight["min"], weight["max"]) == (min(weights), max(weights))
    assert weight["quantiles"]["0.5"] == pytest.approx(sorted(weights)[(len(weights) - 1) // 2])
    assert sum(weight["histogram"]["counts"]) == len(weights)
    assert len(weight["histogram"]["edges"]) == len(weight["histogram"]["counts"]) + 1
    counted = described["features"]["depot"]
    assert counted["values"] == {name: depots.count(name) for name in set(depots)}
    assert counted["other"] == counted["nulls"] == 0


def test_given_a_finished_run_then_it_is_published(finished: Place) -> None:
    assert finished.published == {"run": "r1", "prefix": finished.settings.output}
    assert finished.report("quality")["passed"] is True


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("max = 0.05", "max = -1", r'"depots are known" on examples: avg.* is 0, above max = -1'),
        (
            'table = "examples"\nsql = "avg(if(region is null, 1, 0))"\nmax = 0.05',
            'table = "depots"\nsql = "count(*)"\nmin = 5',
            r'"depots are known" on depots: count\(\*\) is 4, below min = 5',
        ),
        ('sql = "avg(if(region is null, 1, 0))"', 'sql = "avg(nothing)"', r"one does not run.*nothing"),
    ],
)
def test_given_a_broken_rule_then_it_is_named_and_the_former_run_stays(
    spark: SparkSession, place: Place, old: str, new: str, complaint: str
) -> None:
    (place.folder / "published.json").write_text('{"run": "former"}')
    place.edit("contract.toml", old, new)

    with pytest.raises(PreprocessError, match=complaint) as caught:
        place.run(spark)

    assert "\n" not in str(caught.value)
    assert place.published == {"run": "former"}


def test_given_a_broken_rule_then_the_report_has_all_verdicts(spark: SparkSession, place: Place) -> None:
    place.edit("contract.toml", 'key = ["depot"]', 'key = ["depot"]\nmax_quarantined = 0.1')
    write_csv(
        place.folder / "raw/depots/depots.csv", ("depot", "region", "workers"), [*DEPOTS, ("x", "y", 0)]
    )

    with pytest.raises(
        BrokenRuleError, match=r'"quarantine" on depots.* is 0\.2, above max = 0\.1 \(workers'
    ):
        place.run(spark)

    report = place.report("quality")
    assert report["passed"] is False
    assert [rule["table"] for rule in report["rules"] if not rule["passed"]] == ["depots"]
    assert place.published is None


def test_given_a_crash_while_writing_then_nothing_is_published_and_a_second_try_is(
    spark: SparkSession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("training.preprocess.job.Run._report", torn)
        with pytest.raises(OSError, match="disk is full"):
            place.run(spark)
    assert (place.folder / "runs/r1/examples").exists()
    assert place.published is None

    place.run(spark)

    assert place.published == {"run": "r1", "prefix": place.settings.output}
    assert place.parquet(spark, "examples").count() == sum(
        part["rows"] for part in place.report("profile")["splits"].values()
    )


def test_given_the_same_data_twice_then_the_examples_are_the_same(spark: SparkSession, place: Place) -> None:
    place.run(spark)
    again = replace(place.settings, output=str(place.folder / "runs" / "r2"))
    run(spark, load(place.folder), again)

    first, second = (spark.read.parquet(f"{part.output}/examples") for part in (place.settings, again))
    assert first.exceptAll(second).count() == 0
    assert first.count() == second.count()


def test_given_a_leak_by_name_then_the_contract_is_refused(place: Place) -> None:
    place.edit("contract.toml", "[features.planet]", "[features.days_late]")

    with pytest.raises(ContractError, match=r"leaks parcels\.days_late"):
        load(place.folder)


def test_given_a_leak_in_the_sql_then_it_is_refused(spark: SparkSession, place: Place) -> None:
    place.edit("features.sql", "  p.weight,", "  p.weight,\n  p.days_late,")

    with pytest.raises(PreprocessError, match=r"returns days_late, which leaks parcels\.days_late"):
        place.run(spark)


@pytest.mark.parametrize(
    "leak",
    [
        "p.days_late / 2 AS weight",
        "AVG(p.days_late) OVER (PARTITION BY p.depot) AS weight",
        "AVG(p.days_late) OVER (ORDER BY p.posted_at ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS weight",
    ],
    ids=["renamed", "mean over the future", "window that includes itself"],
)
def test_given_a_leak_under_another_name_then_the_run_stops_and_names_the_feature(
    spark: SparkSession, place: Place, leak: str
) -> None:
    place.edit("features.sql", "  p.weight,", f"  {leak},")

    with pytest.raises(BrokenRuleError, match=r'"point in time".*features that know the future: weight'):
        place.run(spark)

    assert place.published is None


def test_given_rows_chosen_by_their_outcome_then_the_run_stops(spark: SparkSession, place: Place) -> None:
    place.edit("features.sql", "LEFT JOIN depots", "JOIN depots")
    (place.folder / "features.sql").write_text(FEATURES + "WHERE p.days_late IS NOT NULL\n")

    with pytest.raises(BrokenRuleError, match='"point in time"'):
        place.run(spark)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  d.region,\n", "", 'features.sql lacks "region"'),
        ("  d.region,\n", "  d.region,\n  d.workers,\n", 'features.sql returns undeclared "workers"'),
        ("  d.region,\n", "  d.regions,\n", "features.sql does not run: .*regions"),
        ("d.depot = p.depot", "d.depot < p.depot", '"one row per example"'),
    ],
)
def test_given_sql_that_does_not_keep_the_contract_then_it_says_how(
    spark: SparkSession, place: Place, old: str, new: str, complaint: str
) -> None:
    place.edit("features.sql", old, new)

    with pytest.raises(PreprocessError, match=complaint):
        place.run(spark)


def test_given_columns_in_another_order_then_they_are_read_by_name(spark: SparkSession, place: Place) -> None:
    turned = [(workers, depot, region, "?") for depot, region, workers in DEPOTS]
    write_csv(place.folder / "raw/depots/depots.csv", ("workers", "depot", "region", "unknown"), turned)

    place.run(spark)

    assert {tuple(row) for row in place.parquet(spark, "tables/depots").collect()} == set(DEPOTS)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [(("depot", "area", "workers"), 'lacks "region"'), (None, "table depots: nothing to read at")],
)
def test_given_a_wrong_or_missing_file_then_the_table_is_named(
    spark: SparkSession, place: Place, header: tuple[str, ...] | None, complaint: str
) -> None:
    file = place.folder / "raw/depots/depots.csv"
    file.unlink()
    if header:
        write_csv(file, header, DEPOTS)
    else:
        file.parent.rmdir()

    with pytest.raises(PreprocessError, match=complaint):
        place.run(spark)


def test_given_a_split_with_one_outcome_only_then_the_run_stops(spark: SparkSession, place: Place) -> None:
    rows = [(*row[:6], 0.0, row[7]) if str(row[1]) >= "2024-11" else row for row in parcels(200, 5)]
    write_csv(place.folder / "raw/parcels/parcels.csv", PARCELS, rows)

    with pytest.raises(BrokenRuleError, match='"both outcomes in test"'):
        place.run(spark)


def test_given_keep_then_a_constant_or_redundant_feature_stays(spark: SparkSession, place: Place) -> None:
    for name in ("planet", "distance_miles"):
        place.edit("contract.toml", f"[features.{name}]", f"[features.{name}]\nkeep = true")

    place.run(spark)

    assert place.report("features")["dropped"] == []


def test_given_arguments_of_glue_then_they_are_passed_over() -> None:
    arguments = (
        "--JOB_NAME j --workload w --raw s3://a/raw/ --output s3://a/r --published s3://a/p.json --TempDir x"
    )

    settings = Settings.parse(arguments.split())

    assert settings == Settings(workload="w", raw="s3://a/raw", output="s3://a/r", published="s3://a/p.json")


def test_the_workload_of_these_tests_is_no_flight() -> None:
    assert "flight" not in CONTRACT + FEATURES
