"""A stage's access log is written, and what a metric filter finds in a log counts in its metric."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from ministack.services import apigateway_v1

from infra.constructs.api import ACCESS_LOG, FAILED
from local import environment
from local.emulator import access_log
from local.emulator.filters import matcher, readings
from tests.local.conftest import eventually

AWS = Callable[[str], Any]


@pytest.mark.parametrize(
    ("status", "error", "failure"),
    [
        ("200", "-", False),
        ("404", "-", False),
        ("429", "THROTTLED", False),
        ("500", "-", True),
        ("500", "AUTHORIZER_FAILURE", True),
        ("502", "INTEGRATION_FAILURE", True),
        ("503", "-", False),
        ("503", "DEFAULT_5XX", True),
    ],
)
def test_given_an_answer_then_it_is_a_failure_unless_it_says_that_nothing_is_released(
    status: str, error: str, failure: bool
) -> None:
    assert matcher(FAILED)({"status": status, "error": error}) == failure


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("{ $.a.b = 1 }", True),
        ("{ $.a.b >= 2 }", False),
        ('{ $.name = "*ail*" && $.a.b < 2 }', True),
        ('{ ($.none != "x") || ($.name = "no") }', False),
    ],
)
def test_given_a_pattern_then_lines_match_as_cloudwatch_has_it(pattern: str, matches: bool) -> None:
    assert matcher(pattern)({"a": {"b": 1}, "name": "failed"}) == matches


@pytest.mark.parametrize(
    "pattern", ["", "ERROR", "[a, b]", "{ }", "{ $.a }", "{ $.a = 1 || }", "{ ($.a = 1 }"]
)
def test_given_a_pattern_of_another_kind_then_it_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="cannot read the filter pattern"):
        matcher(pattern)


def test_given_a_line_without_a_dimension_then_it_is_not_counted() -> None:
    wanted = {
        "metricNamespace": "Tests",
        "metricName": "Failures",
        "metricValue": "1",
        "dimensions": {"Workload": "$.workload"},
    }
    assert readings(wanted, {"workload": "flights"}) == (
        "Tests",
        "Failures",
        1.0,
        "None",
        {"Workload": "flights"},
    )
    with pytest.raises(ValueError, match=r"no \$\.workload in the line"):
        readings(wanted, {})


def template(name: str, status: str) -> dict[str, Any]:
    """An API of one route that answers ``status`` by itself, with an access log and a filter that counts."""
    group = {"Fn::GetAtt": ["Log", "Arn"]}
    mock = {
        "Type": "MOCK",
        "RequestTemplates": {"application/json": json.dumps({"statusCode": int(status)})},
        "IntegrationResponses": [{"StatusCode": status}],
    }
    counted = {
        "MetricNamespace": "Tests",
        "MetricName": "Failures",
        "MetricValue": "1",
        "Dimensions": [{"Key": "Route", "Value": "$.route"}],
    }
    return {
        "Resources": {
            "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}},
            "Filter": {
                "Type": "AWS::Logs::MetricFilter",
                "Properties": {
                    "LogGroupName": {"Ref": "Log"},
                    "FilterPattern": FAILED,
                    "MetricTransformations": [counted],
                },
            },
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": name}},
            "Folder": resource({"Fn::GetAtt": ["Api", "RootResourceId"]}, name),
            "Route": resource({"Ref": "Folder"}, "{model}"),
            "Get": {
                "Type": "AWS::ApiGateway::Method",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "ResourceId": {"Ref": "Route"},
                    "HttpMethod": "GET",
                    "AuthorizationType": "NONE",
                    "Integration": mock,
                    "MethodResponses": [{"StatusCode": status}],
                },
            },
            "Deployment": {
                "Type": "AWS::ApiGateway::Deployment",
                "DependsOn": "Get",
                "Properties": {"RestApiId": {"Ref": "Api"}},
            },
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": {"Ref": "Api"},
                    "DeploymentId": {"Ref": "Deployment"},
                    "StageName": "live",
                    "AccessLogSetting": {"DestinationArn": group, "Format": json.dumps(ACCESS_LOG)},
                },
            },
        },
        "Outputs": {"Api": {"Value": {"Ref": "Api"}}},
    }


def resource(parent: dict[str, Any], part: str) -> dict[str, Any]:
    """A resource below another."""
    properties = {"RestApiId": {"Ref": "Api"}, "ParentId": parent, "PathPart": part}
    return {"Type": "AWS::ApiGateway::Resource", "Properties": properties}


def deploy(aws: AWS, status: str) -> tuple[str, str]:
    """Deploy an API that answers ``status``; give its name and its id."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    aws("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template(name, status)))

    def look() -> Any:
        (stack,) = aws("cloudformation").describe_stacks(StackName=name)["Stacks"]
        return stack if stack["StackStatus"] != "CREATE_IN_PROGRESS" else None

    stack = eventually(look)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    return name, stack["Outputs"][0]["OutputValue"]


@pytest.mark.parametrize(("status", "failures"), [("500", 1), ("503", 0)])
def test_given_an_answer_when_logged_then_only_a_failure_counts(
    status: str, failures: int, aws: AWS, emulator: environment.Running
) -> None:
    name, api = deploy(aws, status)

    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{emulator.endpoint}/restapis/{api}/live/_user_request_/{name}/flights")

    assert answer.value.code == int(status)
    (line,) = [
        json.loads(each["message"]) for each in aws("logs").filter_log_events(logGroupName=name)["events"]
    ]
    route = f"/{name}/{{model}}"
    assert (line["status"], line["method"], line["route"], line["error"]) == (status, "GET", route, "-")
    found = aws("cloudwatch").get_metric_statistics(
        Namespace="Tests",
        MetricName="Failures",
        Dimensions=[{"Name": "Route", "Value": route}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 60,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    assert sum(point["Sum"] for point in found) == failures


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/", "/"),
        ("POST", "/v1/models/flights/predict", "/v1/models/{model}/predict"),
        ("GET", "/v1/models/flights/", "/v1/models/{model}"),
        ("GET", "/v1/nowhere/predict", "/{rest+}"),
        ("POST", "/v1/models/flights", "/v1/models/{model}"),
    ],
)
def test_given_a_request_when_logged_then_its_route_is_the_resource_s_and_not_the_caller_s_path(
    method: str, path: str, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {"/": "", "/v1": "/", "/v1/models": "/v1", "/v1/models/{model}": "/v1/models"}
    paths |= {"/v1/models/{model}/predict": "/v1/models/{model}", "/{rest+}": "/"}
    verbs = {"/v1/models/{model}/predict": ["POST"], "/v1/models/{model}": ["GET"], "/{rest+}": ["GET"]}
    resources = {
        each: {
            "id": each,
            "path": each,
            "parentId": parent,
            "pathPart": each.rpartition("/")[2],
            "resourceMethods": {verb: {} for verb in verbs.get(each, ())},
        }
        for each, parent in paths.items()
    }
    monkeypatch.setattr(apigateway_v1, "_resources", {"api": resources, "empty": {}})
    assert access_log.route("api", method, path) == route
    assert access_log.route("empty", method, path) == "-"
