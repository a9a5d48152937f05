"""Somebody is told of what needs somebody, and sees the rest on one page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.conftest import Synthesis, Template, only, properties, resources


@pytest.fixture(scope="module")
def monitoring(dev: Synthesis) -> Template:
    return dev.template("flights", "monitoring")


def alarms(template: Template) -> dict[str, dict[str, Any]]:
    return {item["AlarmName"]: item for item in properties(template, "AWS::CloudWatch::Alarm")}


def test_given_alarms_then_each_tells_the_topic_and_says_what_to_do(monitoring: Template) -> None:
    for name, alarm in alarms(monitoring).items():
        assert "Topic" in json.dumps(alarm["AlarmActions"]), name
        assert len(alarm["AlarmDescription"].split()) > 5, name
        assert alarm["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("errors", "Failures"),
        ("latency", "Latency"),
        ("inferenceerrors", "InferenceFailures"),
        ("inferencelatency", "Latency"),
        ("throttles", "Throttles"),
        ("trainfailed", "ExecutionsFailed"),
        ("traintimedout", "ExecutionsTimedOut"),
        ("releasefailed", "ExecutionsFailed"),
        ("deadletters", "ApproximateNumberOfMessagesVisible"),
    ],
)
def test_given_what_can_go_wrong_then_an_alarm_watches_it(
    monitoring: Template, name: str, metric: str
) -> None:
    assert alarms(monitoring)[f"millrace-dev-flights-{name}"]["MetricName"] == metric


def test_given_an_alarm_then_it_watches_one_metric_and_no_formula(monitoring: Template) -> None:
    """The emulator evaluates no metric maths: such an alarm would never ring there."""
    assert all("Metrics" not in alarm for alarm in alarms(monitoring).values())


def test_given_latency_then_the_alarm_watches_the_slowest_hundredth(monitoring: Template) -> None:
    assert alarms(monitoring)["millrace-dev-flights-latency"]["ExtendedStatistic"] == "p99"


def test_given_metrics_then_their_dimensions_name_what_the_other_stacks_make(dev: Synthesis) -> None:
    serving = dev.template("flights", "serving")
    text = json.dumps(dev.template("flights", "monitoring"))
    function = only(serving, "AWS::Lambda::Function")["FunctionName"]
    assert f"{function}:live" in text
    names = [api["Name"] for api in properties(serving, "AWS::ApiGateway::RestApi")]
    assert names == ["millrace-dev-flights", "millrace-dev-flights-inference"]
    for name in names:
        assert f'{name}\\"' in text or f'"{name}"' in text
    filters = [each["MetricTransformations"][0] for each in properties(serving, "AWS::Logs::MetricFilter")]
    for transformation in filters:
        assert f'"{transformation["MetricName"]}"' in text
    machine = only(dev.template("flights", "pipeline"), "AWS::StepFunctions::StateMachine")[
        "StateMachineName"
    ]
    assert f":stateMachine:{machine}" in text


def test_given_the_dashboard_then_it_shows_traffic_latency_errors_runs_and_versions(
    monitoring: Template,
) -> None:
    body = json.dumps(only(monitoring, "AWS::CloudWatch::Dashboard")["DashboardBody"])
    for shown in ("Count", "p50", "p99", "5XXError", "ExecutionsSucceeded", "by version"):
        assert shown in body, shown
    assert monitoring["Outputs"]["Dashboard"]


def test_given_the_models_age_then_the_dashboard_shows_it_in_days(monitoring: Template) -> None:
    body = json.dumps(only(monitoring, "AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert "FILL(age, REPEAT) / 24" in body
    assert '"Millrace","ModelAge","Environment","dev","Workload","flights"' in body.replace("\\", "")


@pytest.mark.parametrize(("api", "name"), [("Http", "errors"), ("Inference", "inferenceerrors")])
def test_given_a_503_before_the_first_release_then_the_alarm_on_errors_does_not_count_it(
    dev: Synthesis, monitoring: Template, api: str, name: str
) -> None:
    serving, alarm = dev.template("flights", "serving"), alarms(monitoring)[f"millrace-dev-flights-{name}"]
    counted, stage = (
        next(item["Properties"] for key, item in resources(serving, kind).items() if key.startswith(api))
        for kind in ("AWS::Logs::MetricFilter", "AWS::ApiGateway::Stage")
    )
    (metric,) = counted["MetricTransformations"]
    line = json.loads(stage["AccessLogSetting"]["Format"])

    assert (metric["MetricNamespace"], metric["MetricName"]) == (alarm["Namespace"], alarm["MetricName"])
    dimensions = {each["Key"]: line[each["Value"].removeprefix("$.")] for each in metric["Dimensions"]}
    assert dimensions == {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    assert '($.status != "503") || ($.error != "-")' in counted["FilterPattern"]
    assert (line["status"], line["error"]) == ("$context.status", "$context.error.responseType")
