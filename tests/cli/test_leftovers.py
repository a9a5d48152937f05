from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from botocore.stub import Stubber
from moto import mock_aws
from rich.console import Console

from cli import checks, leftovers
from cli.commands import destroy
from cli.console import Voice
from cli.outputs import stack_names
from cli.session import Session, session
from tests.cli.endpoints import make_endpoint

TABLE = {
    "AttributeDefinitions": [{"AttributeName": "workload", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "workload", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
}
LEFT = [
    "table millrace-prod-flights-releases",
    "model package group millrace-prod-flights",
    "log group /millrace/prod/flights/predict",
    "log group /aws/vendedlogs/states/millrace-prod-flights-train",
]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The environment prod, none of whose stacks is deployed, on an AWS that moto stands in for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(leftovers, "stacks", lambda _: {})
    with mock_aws():
        yield session("prod")


@pytest.fixture
def left(here: Session) -> Session:
    """What a destroyed prod has left, beside another workload's and another environment's."""
    for name in ("millrace-prod-flights-releases", "millrace-dev-flights-releases"):
        here.client("dynamodb").create_table(TableName=name, **TABLE)
    for name in ("millrace-prod-flights", "millrace-prod-flights2"):
        here.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    for name in (
        "/millrace/prod/flights/predict",
        "/millrace/prod/flights2/predict",
        "/millrace/dev/flights/api",
    ):
        here.client("logs").create_log_group(logGroupName=name)
    here.client("logs").create_log_group(logGroupName="/aws/vendedlogs/states/millrace-prod-flights-train")
    return here


def named(found: list[leftovers.Leftover]) -> list[str]:
    return [f"{each.kind} {each.name}" for each in found]


def test_given_a_destroyed_environment_then_what_it_retained_is_found(left: Session) -> None:
    assert named(leftovers.leftovers(left)) == LEFT


def test_given_a_destroyed_environment_whose_endpoint_still_runs_then_it_is_found(here: Session) -> None:
    make_endpoint(here, "millrace-prod-flights", "millrace-prod-flights-0123456789ab")
    make_endpoint(here, "millrace-prod-flights2", "millrace-prod-flights2-0123456789ab")
    (found,) = leftovers.leftovers(here)
    assert named([found]) == ["endpoint millrace-prod-flights"]
    assert found.removal == "aws sagemaker delete-endpoint --endpoint-name millrace-prod-flights"


def test_given_an_environment_with_an_endpoint_then_images_and_logs_of_its_own_are_found(
    here: Session,
) -> None:
    serving = dataclasses.replace(here.settings.serving, targets=("lambda", "endpoint"))
    both = dataclasses.replace(here, settings=dataclasses.replace(here.settings, serving=serving))
    for env in ("prod", "dev"):
        both.client("ecr").create_repository(repositoryName=f"millrace-{env}-server")
        for name in ("image", "make-image", "network"):
            both.client("logs").create_log_group(logGroupName=f"/millrace/{env}/{name}")
    for name in ("millrace-prod-flights", "millrace-prod-flights2"):
        both.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{name}")
    assert named(leftovers.leftovers(both)) == [
        "image repository millrace-prod-server",
        "log group /aws/sagemaker/Endpoints/millrace-prod-flights",
        "log group /millrace/prod/image",
        "log group /millrace/prod/make-image",
        "log group /millrace/prod/network",
    ]


STACKS = ("millrace-prod-flights-release", "millrace-prod-flights-endpoint", "millrace-prod-image")


def deployed(here: Session, names: tuple[str, ...]) -> Stubber:
    """A CloudFormation that has these stacks."""
    about = {"StackStatus": "CREATE_COMPLETE", "CreationTime": datetime(2026, 11, 24, tzinfo=UTC)}
    stub = Stubber(here.client("cloudformation"))
    stub.add_response("describe_stacks", {"Stacks": [{"StackName": name, **about} for name in names]})
    return stub


def test_given_an_endpoint_taken_out_of_the_targets_then_doctor_says_what_goes_on_and_how_to_end_it(
    here: Session,
) -> None:
    make_endpoint(here, "millrace-prod-flights", "millrace-prod-flights-0123456789ab")
    with deployed(here, STACKS):
        (check,) = checks.stranded(here)
    assert check.level == "warn"
    assert [word for word in check.found.replace(",", "").split() if word.startswith("millrace-")] == [
        "millrace-prod-flights",
        "millrace-prod-flights-endpoint",
        "millrace-prod-image",
    ]
    first, second, third = check.remedy.partition(": ")[2].split("; ")
    assert first == "aws sagemaker delete-endpoint --endpoint-name millrace-prod-flights"
    assert second.endswith("delete-stack --stack-name millrace-prod-flights-endpoint")
    assert third.endswith("delete-stack --stack-name millrace-prod-image")


def test_given_targets_with_an_endpoint_or_none_ever_then_there_is_nothing_to_end(here: Session) -> None:
    with deployed(here, STACKS[:1]):
        assert [check.level for check in checks.stranded(here)] == ["ok"]
    serving = dataclasses.replace(here.settings.serving, targets=("endpoint",))
    alone = dataclasses.replace(here, settings=dataclasses.replace(here.settings, serving=serving))
    assert [check.level for check in checks.stranded(alone)] == ["ok"]


def test_given_nothing_left_then_nothing_is_in_the_way(here: Session) -> None:
    (check,) = checks.fixed_names(here)
    assert (check.level, check.remedy) == ("ok", "")


def test_given_leftovers_then_doctor_names_them_and_both_ways_past_them(left: Session) -> None:
    (check,) = checks.fixed_names(left)
    assert check.level == "fail"
    assert all(each in check.found for each in LEFT)
    assert "cdk deploy -c env=prod --all --import-existing-resources" in check.remedy
    assert "aws logs delete-log-group --log-group-name /millrace/prod/flights/predict" in check.remedy


def test_given_an_environment_that_retains_nothing_then_leftovers_can_only_be_removed(left: Session) -> None:
    forgetful = dataclasses.replace(left, settings=dataclasses.replace(left.settings, retain=False))
    (check,) = checks.fixed_names(forgetful)
    assert check.remedy.startswith("remove them: aws dynamodb update-table")


def test_given_every_stack_then_what_they_hold_is_no_leftover(
    left: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {part: {"StackName": name} for part, name in stack_names(left).items()}
    monkeypatch.setattr(leftovers, "stacks", lambda _: whole)
    assert leftovers.leftovers(left) == []


def test_given_half_of_the_stacks_then_what_these_hold_is_no_leftover(
    left: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = {part: {"StackName": f"millrace-prod-flights-{part}"} for part in ("registry",)}
    monkeypatch.setattr(leftovers, "stacks", lambda _: deployed)
    held = {
        "LogicalResourceId": "Log",
        "PhysicalResourceId": "/millrace/prod/flights/predict",
        "ResourceType": "AWS::Logs::LogGroup",
        "LastUpdatedTimestamp": datetime(2026, 11, 24, tzinfo=UTC),
        "ResourceStatus": "CREATE_COMPLETE",
    }
    with Stubber(left.client("cloudformation")) as stub:
        stub.add_response("list_stack_resources", {"StackResourceSummaries": [held]})
        assert named(leftovers.leftovers(left)) == LEFT[3:]


def test_given_a_destroyed_environment_then_destroy_says_what_stays_and_how_to_get_past_it(
    left: Session,
) -> None:
    written = io.StringIO()
    destroy.tell_what_stays(left, Voice(Console(file=written, width=2000)))
    told = written.getvalue()
    assert all(f"retained: {each}" in told for each in LEFT)
    assert "--import-existing-resources" in told
