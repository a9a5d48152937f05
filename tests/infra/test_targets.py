"""What answers callers is a setting: the function, an endpoint, or both. An environment may change it."""

from __future__ import annotations

import json
import re
from itertools import permutations
from typing import Any

import pytest

from functions.forward.journal import AGE, METRICS
from tests.infra.conftest import ALONE, Synthesis, Synthesise, Template, only, properties, resources

LIKE = {"lambda": "dev", "both": "local", "endpoint": ALONE}
"""Targets → an environment with them, alike in all that stacks import from each other, but for one thing."""
TOKENS = "CallersPoolDomain"
"""Where tokens are had is Cognito's domain, on the laptop it is the emulator."""


def names(template: Template, kind: str, member: str) -> set[str]:
    return {item[member] for item in properties(template, kind)}


# ---- an endpoint alone --------------------------------------------------------------------------


def test_given_an_endpoint_alone_then_no_api_is_before_the_function(alone: Synthesis) -> None:
    serving = alone.template("flights", "serving")
    kinds = {item["Type"] for item in serving["Resources"].values()}
    assert not {kind for kind in kinds if kind.startswith("AWS::ApiGateway::")}
    assert "AWS::Lambda::Permission" not in kinds
    assert [name for name, output in serving["Outputs"].items() if "Export" not in output] == ["FunctionName"]


def test_given_an_endpoint_alone_then_a_release_checks_bundles_on_the_same_function(
    dev: Synthesis, alone: Synthesis
) -> None:
    ours, other = (each.template("flights", "serving") for each in (alone, dev))
    for kind in ("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias"):
        assert resources(ours, kind) == resources(other, kind)
    hashes = {each.environment.workloads["flights"].serving.code_hash for each in (alone, dev)}
    assert len(hashes) == 1, "a change of targets releases nothing on the function"


def test_given_an_endpoint_alone_then_only_what_is_there_is_watched(alone: Synthesis) -> None:
    monitoring = alone.template("flights", "monitoring")
    alarms = names(monitoring, "AWS::CloudWatch::Alarm", "AlarmName")
    assert {name.removeprefix("millrace-dev-flights-") for name in alarms} == {
        "endpointerrors", "endpointlatency", "forwardthrottles", "trainfailed", "traintimedout",
        "releasefailed", "releasetimedout", "deadletters",
    }  # fmt: skip
    body = json.dumps(only(monitoring, "AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert "predict" not in body
    assert "inference" not in body
    assert "/millrace/dev/flights/forward" in body
    (throttles,) = (
        item for item in properties(monitoring, "AWS::CloudWatch::Alarm") if item["MetricName"] == "Throttles"
    )
    assert throttles["Dimensions"] == [{"Name": "FunctionName", "Value": "millrace-dev-flights-forward"}]


def test_given_the_metrics_that_forward_writes_then_they_are_those_on_the_dashboard(alone: Synthesis) -> None:
    body = json.dumps(only(alone.template("flights", "monitoring"), "AWS::CloudWatch::Dashboard"))
    shown = set(re.findall(r'"Millrace","(\w+)","Environment","dev","Workload"', body.replace("\\", "")))
    assert shown == {"Records", "Warnings", "ModelAge"}
    assert shown <= {each["Name"] for each in (*METRICS, AGE)}


def test_given_the_account_wide_role_then_the_first_api_sets_it(alone: Synthesis) -> None:
    account = only(alone.template("flights", "endpoint"), "AWS::ApiGateway::Account")
    assert account["CloudWatchRoleArn"]


# ---- the release's last check -------------------------------------------------------------------


def probe(synthesis: Synthesis) -> dict[str, Any]:
    """Variables of the function that checks a release."""
    template = synthesis.template("flights", "release")
    (found,) = (
        item for item in properties(template, "AWS::Lambda::Function") if "probe" in item["FunctionName"]
    )
    return dict(found["Environment"]["Variables"])


@pytest.mark.parametrize(
    ("targets", "parameters"),
    [
        ("lambda", ["/millrace/dev/flights/api"]),
        ("both", ["/millrace/local/flights/api", "/millrace/local/flights/endpoint-api"]),
        ("endpoint", ["/millrace/dev/flights/endpoint-api"]),
    ],
)
def test_given_targets_then_a_release_is_checked_through_each_of_their_apis(
    synthesised: Synthesise, targets: str, parameters: list[str]
) -> None:
    synthesis = synthesised(LIKE[targets])
    urls = json.dumps(probe(synthesis)["PROBE_API_URLS"])
    read = synthesis.template("flights", "release")["Parameters"]
    asked = {name: item["Default"] for name, item in read.items() if f'"{name}"' in urls}
    assert sorted(asked.values()) == parameters
    assert urls.count("/live") == len(parameters)


def test_given_an_api_then_its_id_lies_under_the_name_that_the_release_reads(full: Synthesis) -> None:
    held: dict[str, Any] = {}
    for stack in ("serving", "endpoint"):
        template = full.template("flights", stack)
        held |= {item["Name"]: item["Value"] for item in properties(template, "AWS::SSM::Parameter")}
    assert set(held) == {
        f"/millrace/dev/flights/{name}" for name in ("api", "inference-api", "endpoint-api", "endpoint")
    }
    assert [held[f"/millrace/dev/flights/{name}"]["Ref"][:4] for name in ("api", "endpoint-api")] == [
        "Http"
    ] * 2


# ---- changing them ------------------------------------------------------------------------------


def stacks(synthesis: Synthesis) -> dict[str, str]:
    """The text of each template, by its stack's name, as if all environments had one name."""
    prefix = f"millrace-{synthesis.settings.env}-"
    return {
        name.removeprefix(prefix): json.dumps(template).replace(prefix, "")
        for name, template in synthesis.templates().items()
    }


def exported(text: str) -> set[str]:
    outputs = json.loads(text).get("Outputs", {}).values()
    names = {output["Export"]["Name"] for output in outputs if "Export" in output}
    return {name for name in names if TOKENS not in name}


def imported(texts: dict[str, str]) -> set[str]:
    return {name for text in texts.values() for name in re.findall(r'"Fn::ImportValue": "([^"]+)"', text)}


@pytest.mark.parametrize(("before", "after"), permutations(LIKE, 2))
def test_given_other_targets_when_deployed_then_no_stack_gives_up_what_a_deployed_one_imports(
    synthesised: Synthesise, before: str, after: str
) -> None:
    """CloudFormation refuses that, and the CDK updates who exports before who imports."""
    old, new = stacks(synthesised(LIKE[before])), stacks(synthesised(LIKE[after]))
    assert imported(old)
    given_up = {name for stack in old if stack in new for name in exported(old[stack]) - exported(new[stack])}
    assert given_up & imported(old) == set()
