"""The reference workload on the real data, end to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.life.world import World

pytestmark = pytest.mark.life


@pytest.fixture(scope="module")
def flights(world: World) -> World:
    world.millrace("ingest", "--workload", "flights")
    world.millrace("train", "--workload", "flights", seconds=900)
    return world


@pytest.fixture(scope="module")
def manifest(flights: World) -> dict[str, Any]:
    bucket, _, prefix = flights.champion("flights")["bundle"].removeprefix("s3://").partition("/")
    body = flights.client("s3").get_object(Bucket=bucket, Key=f"{prefix}manifest.json")["Body"].read()
    return dict(json.loads(body))


def test_flights_reach_the_floor_on_both_splits(manifest: dict[str, Any]) -> None:
    assert manifest["metrics"]["validate"]["auc"] >= 0.715
    assert manifest["metrics"]["test"]["auc"] >= 0.715
    assert manifest["metrics"]["test"]["rows"] > 40_000


def test_the_bundle_equals_the_trained_model(manifest: dict[str, Any]) -> None:
    assert manifest["parity"]["max_abs_difference"] <= 1e-5
    assert manifest["parity"]["rows"] == manifest["metrics"]["test"]["rows"]


def test_the_api_answers_the_contracts_examples_as_the_bundle_does(
    flights: World, manifest: dict[str, Any]
) -> None:
    url = f"{flights.outputs('flights')['api_url']}/v1/models/flights/predict"
    records = {"records": [each["record"] for each in manifest["examples"]]}
    reply = flights.call("POST", url, records, flights.token())
    assert reply.status == 200, reply.body
    for answer, example in zip(reply.body["predictions"], manifest["examples"], strict=True):
        assert abs(answer["probability"] - example["probability"]) <= 1e-4


def test_impossible_rows_are_in_quarantine_with_a_reason(flights: World) -> None:
    lake, run = flights.outputs("flights")["lake_bucket"], flights.champion("flights")["version"]
    key = f"flights/runs/{run}/reports/quality.json"
    quality = json.loads(flights.client("s3").get_object(Bucket=lake, Key=key)["Body"].read())
    assert quality["passed"]
    weather = quality["tables"]["weather"]
    assert weather["quarantined"] >= 1
    assert any("wind_speed" in reason for reason in weather["reasons"])
    kept = flights.client("s3").list_objects_v2(Bucket=lake, Prefix=f"flights/runs/{run}/quarantine/weather/")
    assert kept["KeyCount"] >= 1
