"""Roles may do what exists, on what they name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

from tests.infra.conftest import Synthesis, Template, as_list, properties, resources

UNBOUNDED = {
    # A data set is a newer thing than a metric; where the metric goes is bounded by a condition.
    "cloudwatch:PutMetricData": "cloudwatch:namespace",
}
"""Actions that take a resource which does not fit, and the condition that bounds them instead."""
GATEWAY_LOGS = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"
"""The one managed policy: API Gateway asks for it, of the role with which all APIs of an account log."""

STATEMENT_HOLDERS = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


@cache
def services() -> dict[str, Any]:
    """AWS's own list of actions by service, with the resource types each takes, as cfn-lint carries it."""
    return dict(json.loads((files("cfnlint.data.AdditionalSpecs") / "Policies.json").read_text()))


def known(action: str) -> dict[str, Any] | None:
    """What the list says of an action such as ``s3:GetObject``; None if it is no action."""
    service, _, name = action.partition(":")
    found = services().get(service, {"Actions": {}})["Actions"].get(name.lower())
    return None if found is None else dict(found)


def takes(action: str) -> list[str]:
    """The types of resources that ``action`` takes."""
    return list((known(action) or {}).get("Resources", ()))


def unbounded(action: str, statement: dict[str, Any]) -> bool:
    """Whether ``action`` may be allowed on any resource: it takes none, or a condition bounds it."""
    if action in UNBOUNDED:
        return UNBOUNDED[action] in json.dumps(statement.get("Condition", {}))
    return not takes(action)


def allowed(template: Template) -> Iterator[dict[str, Any]]:
    """Every statement that a role's policies allow."""
    documents = [item["PolicyDocument"] for kind in STATEMENT_HOLDERS for item in properties(template, kind)]
    for role in properties(template, "AWS::IAM::Role"):
        documents += [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    for document in documents:
        yield from (item for item in document["Statement"] if item["Effect"] == "Allow")


def test_given_an_environment_then_every_action_exists_and_is_named_whole(each: Synthesis) -> None:
    for stack, template in each.templates().items():
        for statement in allowed(template):
            for action in as_list(statement["Action"]):
                assert "*" not in action, f"{stack} allows {action}"
                assert known(action) is not None, f"{stack} allows {action}, which is no action"


def test_given_an_environment_then_any_resource_is_allowed_only_where_the_service_takes_none(
    each: Synthesis,
) -> None:
    for stack, template in each.templates().items():
        for statement in allowed(template):
            if "*" not in as_list(statement["Resource"]):
                continue
            narrower = [action for action in as_list(statement["Action"]) if not unbounded(action, statement)]
            assert not narrower, f"{stack} allows {narrower} on any resource, though they take one"


def test_given_an_action_without_resources_then_it_is_allowed_on_any(each: Synthesis) -> None:
    """Where the service takes no resource, a statement that names one allows nothing."""
    for stack, template in each.templates().items():
        for statement in allowed(template):
            if "*" in as_list(statement["Resource"]):
                continue
            vain = [action for action in as_list(statement["Action"]) if not takes(action)]
            assert not vain, f"{stack} allows {vain} on named resources, which these do not take"


def test_given_an_environment_then_no_role_has_a_managed_policy_or_trusts_an_account(each: Synthesis) -> None:
    for template in each.templates().values():
        for role in properties(template, "AWS::IAM::Role"):
            managed = [json.dumps(arn) for arn in role.get("ManagedPolicyArns", [])]
            assert all(GATEWAY_LOGS in arn for arn in managed)
            for statement in role["AssumeRolePolicyDocument"]["Statement"]:
                assert set(statement["Principal"]) == {"Service"}


def test_given_an_environment_then_each_role_serves_one_job_or_function(each: Synthesis) -> None:
    for template in each.templates().values():
        for policy in properties(template, "AWS::IAM::Policy"):
            assert len(policy["Roles"]) == 1
        used = [
            reference["Fn::GetAtt"][0]
            for kind, key in (
                ("AWS::Lambda::Function", "Role"),
                ("AWS::Glue::Job", "Role"),
                ("AWS::StepFunctions::StateMachine", "RoleArn"),
            )
            for reference in (item[key] for item in properties(template, kind))
        ]
        assert len(used) == len(set(used))
        assert set(used) <= set(resources(template, "AWS::IAM::Role"))


@pytest.mark.parametrize("action", ["s3:FetchObject", "sagemaker:CreateTrainingJobs", "nowhere:GetObject"])
def test_given_an_action_that_is_none_then_the_list_does_not_know_it(action: str) -> None:
    assert known(action) is None


def test_given_key_policies_then_services_use_keys_only_for_this_account(each: Synthesis) -> None:
    for key in properties(each.template("foundation"), "AWS::KMS::Key"):
        for statement in key["KeyPolicy"]["Statement"]:
            service = statement["Principal"].get("Service")
            if service is None:
                continue
            condition = json.dumps(statement["Condition"])
            assert "aws:SourceAccount" in condition or "kms:EncryptionContext:aws:logs:arn" in condition
            assert all("*" not in action for action in as_list(statement["Action"]))


def test_given_key_policies_then_logs_alarms_events_and_topics_can_work(dev: Synthesis) -> None:
    served = {
        json.dumps(statement["Principal"]["Service"])
        for key in properties(dev.template("foundation"), "AWS::KMS::Key")
        for statement in key["KeyPolicy"]["Statement"]
        if "Service" in statement["Principal"]
    }
    for service in ("cloudwatch", "events", "sns", "logs."):
        assert any(service in principal for principal in served), service
