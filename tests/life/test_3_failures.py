"""What goes wrong stops early, says why, and leaves the champion serving."""

from __future__ import annotations

import csv
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.life.world import TOY, World

pytestmark = pytest.mark.life


def test_a_broken_quality_rule_stops_the_run_and_names_rule_and_value(
    released: World, url: str, records: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = released.champion()
    lake = released.outputs()["lake_bucket"]
    published = released.client("s3").get_object(Bucket=lake, Key=f"{TOY}/published.json")["Body"].read()
    good = released.folder / "workloads" / TOY / "raw"
    bad = tmp_path_factory.mktemp("bad")
    forget_regions(good, bad)
    released.millrace("ingest", "--workload", TOY, "--from", str(bad))
    try:
        failed = released.millrace("train", "--workload", TOY, seconds=300, fails=True)
    finally:
        released.millrace("ingest", "--workload", TOY, "--from", str(good))
    told = failed.stdout + failed.stderr
    assert "depots are known" in told
    assert "0.05" in told
    assert released.champion() == before
    again = released.client("s3").get_object(Bucket=lake, Key=f"{TOY}/published.json")["Body"].read()
    assert again == published
    assert released.call("POST", url, records, released.token()).status == 200


def test_a_failed_run_is_resumed_once_its_cause_is_mended(released: World) -> None:
    failed = released.executions("train")[-1]
    assert failed["status"] == "FAILED"
    released.millrace("train", "--workload", TOY, "--resume", failed["name"], seconds=400)
    resumed = released.executions("train")[-1]
    assert resumed["status"] == "SUCCEEDED"
    assert released.champion()["version"] == failed["name"]


def forget_regions(good: Path, bad: Path) -> None:
    """Copy the raw tables; the depots lose their regions."""
    for file in good.rglob("*.csv"):
        changed = [{**row, "region": ""} if "region" in row else row for row in rows_of(file)]
        write_rows(bad / file.relative_to(good), changed)


def shuffle_outcomes(good: Path, bad: Path) -> None:
    """Copy the raw tables; how late a parcel came has nothing to do with the parcel any more."""
    for file in good.rglob("*.csv"):
        rows = rows_of(file)
        outcomes = [row["days_late"] for row in rows if "days_late" in row]
        random.Random(5).shuffle(outcomes)
        for row, outcome in zip(rows, outcomes, strict=False):
            row["days_late"] = outcome
        write_rows(bad / file.relative_to(good), rows)


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as source:
        return list(csv.DictReader(source))


def write_rows(file: Path, rows: list[dict[str, str]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_model_below_the_floor_is_not_registered(
    released: World, url: str, records: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, packages = released.champion(), released.packages()
    good = released.folder / "workloads" / TOY / "raw"
    noise = tmp_path_factory.mktemp("noise")
    shuffle_outcomes(good, noise)
    released.millrace("ingest", "--workload", TOY, "--from", str(noise))
    try:
        failed = released.millrace("train", "--workload", TOY, "--set", "epochs=1", seconds=300, fails=True)
    finally:
        released.millrace("ingest", "--workload", TOY, "--from", str(good))
    assert re.search(r"AUC 0\.\d+ is below the (contract's )?floor", failed.stdout + failed.stderr)
    assert released.packages() == packages
    assert released.champion() == before
    assert released.call("POST", url, records, released.token()).status == 200


def test_after_a_restart_of_the_emulator_the_champion_serves_again(
    released: World, url: str, records: dict[str, Any]
) -> None:
    before = released.champion()
    answer = released.call("POST", url, records, released.token())
    other = f"{released.outputs()['endpoint_url']}/v1/models/{TOY}/predict"
    released.millrace("down", seconds=120)
    failed = released.millrace("predict", "--workload", TOY, fails=True)
    assert "millrace up" in failed.stderr
    assert "Traceback" not in failed.stderr
    released.millrace("up", "--keep", seconds=400)
    assert released.champion() == before
    again = released.call("POST", url, records, released.token())
    assert again.status == 200, again.body
    assert [each["probability"] for each in again.body["predictions"]] == [
        each["probability"] for each in answer.body["predictions"]
    ]
    reply = released.call("POST", other, records, released.token())
    assert (reply.status, reply.body["version"]) == (200, before["version"]), "the endpoint came up, too"
