"""The release's stack: who starts the machine, what it may do, and what it is given."""

from __future__ import annotations

import fnmatch
import json
import re
from dataclasses import replace
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions

from infra import settings as environments
from infra.bundling import function_code
from infra.machines import machine, placeholders
from infra.stacks.foundation import Foundation
from infra.stacks.pipeline import Pipeline
from infra.stacks.registry import Registry
from infra.stacks.release import Release
from infra.stacks.serving import Serving
from tests.infra.conftest import (
    ENVIRONMENTS,
    Synthesis,
    Template,
    as_list,
    context,
    only,
    properties,
    statements,
)
from tests.infra.machines.interpreter import called
from tests.infra.machines.test_structure import tasks

CALLS = {
    "lambda:invoke": "lambda:InvokeFunction",
    "s3:getObject": "s3:GetObject",
    "s3:putObject": "s3:PutObject",
}
"""Actions that are not called as the operation is."""
SERVICES = {"sagemakerruntime": "sagemaker", "applicationautoscaling": "application-autoscaling"}
"""Step Functions' name of a service → IAM's, where they differ."""
OBSERVE = {
    "states:StartExecution": ("states:DescribeExecution", "states:StopExecution"),
    "glue:StartJobRun": ("glue:GetJobRun", "glue:GetJobRuns", "glue:BatchStopJobRun"),
    "sagemaker:CreateTrainingJob": (
        "sagemaker:DescribeTrainingJob",
        "sagemaker:StopTrainingJob",
        "iam:PassRole",
    ),
    "sagemaker:CreateProcessingJob": (
        "sagemaker:DescribeProcessingJob",
        "sagemaker:StopProcessingJob",
        "iam:PassRole",
    ),
}
"""What Step Functions itself does to wait for a job."""
CHILD = {"states:StartExecution", *OBSERVE["states:StartExecution"]}
"""What the release does where there is an endpoint."""
UPDATE = "HostingUpdateRole"


class Stacks:
    """The stacks of one workload, as an environment makes them."""

    def __init__(self, env: str, predict: str = "predict") -> None:
        app, settings = cdk.App(context=context()), environments.load(env)
        place = {"env": cdk.Environment(account=settings.account, region=settings.region)}
        foundation = Foundation(app, "foundation", settings, **place)
        about: dict[str, Any] = {
            **place,
            "settings": settings,
            "workload": "flights",
            "property_injectors": foundation.defaults,
        }
        registry = Registry(app, "registry", **about)
        about |= {"foundation": foundation, "registry": registry}
        pipeline = Pipeline(app, "pipeline", **about)
        serving = Serving(app, "serving", code=function_code(predict, settings), **about)
        self.stack = Release(app, "release", serving=serving, function_code=function_code, **about)
        self.release: Template = dict(assertions.Template.from_stack(self.stack).to_json())
        self.train: Template = dict(assertions.Template.from_stack(pipeline).to_json())


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def stacks(request: pytest.FixtureRequest) -> Stacks:
    return Stacks(request.param)


@pytest.fixture(scope="module")
def deployed() -> Stacks:
    return Stacks("dev")


@pytest.fixture(scope="module")
def hosting(full: Synthesis) -> Template:
    """The release's template where a SageMaker endpoint answers, too."""
    return full.template("flights", "release")


def actions(statement: dict[str, Any]) -> list[str]:
    return as_list(statement["Action"])


def needed(name: str) -> set[str]:
    """Actions that the machine's states call, and those that waiting for them takes."""
    needs = set()
    for _, state, _ in tasks(machine(name)["States"]):
        call = state["Resource"].split(":::")[1].removeprefix("aws-sdk:")
        service, operation = called(state["Resource"]).split(":")
        action = CALLS.get(call, f"{SERVICES.get(service, service)}:{operation[0].upper()}{operation[1:]}")
        needs |= {action, *(OBSERVE[action] if ".sync" in call else ())}
    return needs


@pytest.mark.parametrize(("name", "role"), [("train", "TrainRole"), ("release", "ReleaseRole")])
def test_every_call_of_a_machine_is_allowed(stacks: Stacks, name: str, role: str) -> None:
    template = {"train": stacks.train, "release": stacks.release}[name]
    allowed = [action for statement in statements(template, role) for action in actions(statement)]
    missing = {need for need in needed(name) if not any(fnmatch.fnmatch(need, action) for action in allowed)}
    assert missing == (CHILD if name == "release" and not stacks.stack.endpoint else set())


@pytest.mark.parametrize(("name", "role"), [("endpoint", UPDATE), ("release", "ReleaseRole")])
def test_given_an_endpoint_then_every_call_is_allowed_and_little_more(
    hosting: Template, name: str, role: str
) -> None:
    allowed = {action for statement in statements(hosting, role) for action in actions(statement)}
    allowed -= {action for action in allowed if action.split(":")[0] in ("kms", "logs", "xray")}
    assert needed(name) <= allowed
    besides = {
        "endpoint": {
            "sagemaker:AddTags", "iam:PassRole", "cloudwatch:DescribeAlarms",
            # Scaling asks of its caller what it will do itself.
            "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "iam:CreateServiceLinkedRole",
            "sagemaker:UpdateEndpointWeightsAndCapacities",
        },
        "release": {"s3:ListBucket", "lambda:GetLayerVersion", "events:PutRule", "events:PutTargets",
                    "events:DescribeRule"},
    }[name]  # fmt: skip
    assert allowed - needed(name) == besides


def test_given_an_endpoint_then_its_role_is_passed_to_sagemaker_and_to_nothing_else(
    hosting: Template,
) -> None:
    (passing,) = [one for one in statements(hosting, UPDATE) if "iam:PassRole" in actions(one)]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert "millrace-dev-flights-endpoint" in json.dumps(passing["Resource"])


def test_given_an_endpoint_then_nothing_of_another_workload_may_be_changed(hosting: Template) -> None:
    for statement in statements(hosting, UPDATE):
        for action in actions(statement):
            if action.split(":")[0] == "sagemaker" and "List" not in action:
                for resource in as_list(statement["Resource"]):
                    assert re.search(
                        r":(endpoint/millrace-dev-flights|(model|endpoint-config)/millrace-dev-flights-\?{12})$",
                        str(resource["Fn::Join"][1][-1]),
                    )


def test_given_an_endpoint_then_its_machine_is_filled_and_run_by_the_release(hosting: Template) -> None:
    machines = properties(hosting, "AWS::StepFunctions::StateMachine")
    filled = {one["StateMachineName"].rpartition("-")[2]: one["DefinitionSubstitutions"] for one in machines}
    assert set(filled["endpoint"]) == placeholders("endpoint")
    assert set(filled["release"]) == placeholders("release")
    assert "none" not in (filled["endpoint"]["Subnets"], filled["endpoint"]["SecurityGroups"])
    assert filled["release"]["EndpointMachine"]["Ref"].startswith("HostingUpdate")
    assert filled["release"]["EndpointParameter"] == "/millrace/dev/flights/endpoint"
    assert only(hosting, "Custom::MillraceDeploy")["Endpoint"]


@pytest.mark.parametrize("workload", ["flights", "w" * 31])
def test_given_a_name_of_any_length_then_models_have_a_prefix_that_leaves_room(workload: str) -> None:
    settings = replace(environments.load("dev"), env="e" * 16)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", f"{settings.hosted(workload)}-0123456789ab")
    assert settings.hosted(workload) != settings.hosted(workload[:-1] + "x")


def test_the_release_may_do_little_more_than_it_calls(deployed: Stacks) -> None:
    besides = {"s3:ListBucket", "lambda:GetLayerVersion"}
    for statement in statements(deployed.release, "ReleaseRole"):
        for action in actions(statement):
            service = action.split(":")[0]
            assert "*" not in action, action
            assert service in ("kms", "logs", "xray") or action in needed("release") - CHILD | besides, action


def test_the_function_itself_cannot_be_deleted(deployed: Stacks) -> None:
    deleting = [
        one for one in statements(deployed.release, "ReleaseRole") if "lambda:DeleteFunction" in actions(one)
    ]
    (resource,) = [json.dumps(resource) for one in deleting for resource in as_list(one["Resource"])]
    assert ":function:millrace-dev-flights-predict:*" in resource


@pytest.mark.parametrize("name", ["train", "release"])
def test_every_placeholder_is_filled_and_nothing_else(stacks: Stacks, name: str) -> None:
    template = {"train": stacks.train, "release": stacks.release}[name]
    properties = only(template, "AWS::StepFunctions::StateMachine")
    assert set(properties["DefinitionSubstitutions"]) == placeholders(name)
    assert json.loads(properties["DefinitionString"]) == machine(name)


def test_approvals_of_this_group_start_the_machine_or_become_dead_letters(stacks: Stacks) -> None:
    rule = only(stacks.release, "AWS::Events::Rule")
    assert rule["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [stacks.stack.group], "ModelApprovalStatus": ["Approved"]},
    }
    (target,) = rule["Targets"]
    assert target["DeadLetterConfig"]["Arn"]
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 20}
    assert "InputTransformer" not in target
    assert only(stacks.release, "AWS::SQS::Queue")["KmsMasterKeyId"]


def test_given_other_code_when_deployed_then_the_deploy_is_announced(deployed: Stacks) -> None:
    def announced(stacks: Stacks) -> str:
        return str(only(stacks.release, "Custom::MillraceDeploy")["Function"])

    assert announced(deployed) == announced(Stacks("dev"))
    assert announced(deployed) != announced(Stacks("dev", predict="probe"))


def test_the_probe_may_read_its_client_and_nothing_else(deployed: Stacks) -> None:
    allowed = {action for one in statements(deployed.release, "ProbeRole") for action in actions(one)}
    assert {action for action in allowed if action.split(":")[0] not in ("logs", "xray")} == {
        "cognito-idp:DescribeUserPoolClient"
    }


def test_the_machine_is_logged_without_data_and_traced(stacks: Stacks) -> None:
    properties = only(stacks.release, "AWS::StepFunctions::StateMachine")
    assert properties["LoggingConfiguration"]["IncludeExecutionData"] is False
    assert properties["TracingConfiguration"] == {"Enabled": True}
