"""From nothing to a prediction: what a new user does, and what callers meet meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.life.world import TOY, World, wait_for

pytestmark = pytest.mark.life


def test_before_the_first_release_both_apis_answer_503_and_say_so(
    before_any_release: World, url: str, endpoint_url: str, records: dict[str, Any]
) -> None:
    for each in (endpoint_url, url):
        reply = before_any_release.call("POST", each, records, before_any_release.token())
        assert reply.status == 503
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert "no model has been released" in reply.body["detail"].lower()
    assert before_any_release.lines("api")[-1]["status"] == "503"
    assert before_any_release.client("cloudwatch").list_metrics(MetricName="Failures")["Metrics"] == []


def test_a_new_folder_goes_from_raw_tables_to_a_prediction_without_a_change_of_code(
    released: World, url: str, records: dict[str, Any]
) -> None:
    reply = released.call("POST", url, records, released.token())
    assert reply.status == 200, reply.body
    assert reply.body["version"] == released.champion()["version"]
    first, second = (each["probability"] for each in reply.body["predictions"])
    assert 0 < first < 1
    assert 0 < second < 1
    assert first != second


def test_the_command_predicts_too(released: World) -> None:
    told = released.millrace("predict", "--workload", TOY, "--json").stdout
    assert released.champion()["version"] in told


def counted(world: World) -> float:
    """Records that were given a probability, as the metric of the workload tells."""
    now = datetime.now(UTC)
    points = world.client("cloudwatch").get_metric_statistics(
        Namespace="Millrace",
        MetricName="Records",
        Dimensions=[{"Name": "Environment", "Value": "local"}, {"Name": "Workload", "Value": TOY}],
        StartTime=now - timedelta(days=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def test_what_function_and_endpoint_answer_is_counted_once_each(
    released: World, url: str, endpoint_url: str, records: dict[str, Any]
) -> None:
    before, token, one = counted(released), released.token(), len(records["records"])
    for times, each in ((1, url), (3, endpoint_url)):
        assert [released.call("POST", each, records, token).status for _ in range(times)] == [200] * times
    wait_for(lambda: True if counted(released) == before + 4 * one else None, "all to be counted", 20)
    age = released.client("cloudwatch").list_metrics(Namespace="Millrace", MetricName="ModelAge")["Metrics"]
    assert {"local", TOY} in [{one["Value"] for one in each["Dimensions"]} for each in age]


@pytest.mark.parametrize("token", [None, "", "not-a-token"], ids=["none", "empty", "bad"])
def test_a_caller_without_a_good_token_is_refused(
    released: World, url: str, records: dict[str, Any], token: str | None
) -> None:
    reply = released.call("POST", url, records, token)
    assert reply.status in (401, 403)
    assert reply.headers["Content-Type"] == "application/problem+json"


def test_a_token_that_was_changed_is_refused(released: World, url: str, records: dict[str, Any]) -> None:
    head, body, signature = released.token().split(".")
    forged = ".".join((head, body, signature[::-1]))
    assert released.call("POST", url, records, forged).status in (401, 403)


def test_the_catalog_shows_the_published_examples(released: World) -> None:
    run = released.champion()["version"]
    table = released.client("glue").get_table(DatabaseName=f"millrace_local_{TOY}", Name=f"{TOY}_examples")[
        "Table"
    ]
    assert f"/runs/{run}/" in table["StorageDescriptor"]["Location"] + "/"


def test_what_the_job_published_is_the_run_that_trained(released: World) -> None:
    lake = released.outputs()["lake_bucket"]
    published = released.client("s3").get_object(Bucket=lake, Key=f"{TOY}/published.json")["Body"].read()
    assert released.champion()["version"] in published.decode()
