"""The reference workload on the real data, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.life.world import Reply, World

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


def test_the_endpoint_answers_ten_thousand_rows_to_the_last_bit_as_the_function_does(
    flights: World, manifest: dict[str, Any], tmp_path: Path
) -> None:
    outputs, token = flights.outputs("flights"), flights.token()
    urls = [f"{outputs[name]}/v1/models/flights/predict" for name in ("api_url", "endpoint_url")]
    rows = examples(flights, manifest, tmp_path, 10_000)
    for first in range(0, len(rows), manifest["limits"]["records"]):
        body = {"records": rows[first : first + manifest["limits"]["records"]]}
        one, other = (flights.call("POST", url, body, token) for url in urls)
        assert (one.status, other.status) == (200, 200), (one.body, other.body)
        assert said(one) == said(other)


def examples(world: World, manifest: dict[str, Any], folder: Path, count: int) -> list[dict[str, Any]]:
    """Rows of the test split as a caller would send them."""
    s3, lake = world.client("s3"), world.outputs("flights")["lake_bucket"]
    prefix = f"flights/runs/{world.champion('flights')['version']}/examples/split=test/"
    for item in s3.list_objects_v2(Bucket=lake, Prefix=prefix)["Contents"]:
        if item["Key"].endswith(".parquet"):
            s3.download_file(lake, item["Key"], str(folder / item["Key"].rpartition("/")[2]))
    names = [feature["name"] for feature in manifest["features"]]
    rows: list[dict[str, Any]] = parquet.read_table(folder, columns=names).slice(0, count).to_pylist()
    assert len(rows) == count
    return rows


def said(reply: Reply) -> str:
    """All that an answer says but the request's own id, on which each prediction's id is built."""
    request = reply.body["predictions"][0]["id"].removesuffix("-0")
    return json.dumps(reply.body).replace(request, "")


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
