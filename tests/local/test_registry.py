"""The model registry keeps versions and announces every change of approval."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.local.conftest import eventually

AWS = Callable[[str], Any]


@pytest.fixture
def group(aws: AWS) -> str:
    name = f"models-{uuid.uuid4().hex[:8]}"
    aws("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return name


def package(aws: AWS, group: str, **changes: Any) -> str:
    answer = aws("sagemaker").create_model_package(
        ModelPackageGroupName=group, CustomerMetadataProperties={"run": "r1", "layer": "l1"}, **changes
    )
    return str(answer["ModelPackageArn"])


@pytest.fixture
def events(aws: AWS, group: str) -> Callable[[], list[dict[str, Any]]]:
    """A function that takes the approval events of the group, as a rule delivers them to a queue."""
    url = aws("sqs").create_queue(QueueName=f"events-{group}")["QueueUrl"]
    attributes = aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group]},
    }
    aws("events").put_rule(Name=group, EventPattern=json.dumps(pattern))
    aws("events").put_targets(Rule=group, Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])

    def take() -> list[dict[str, Any]]:
        found = aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    return take


def test_given_a_new_package_when_approved_then_an_event_says_so(
    aws: AWS, group: str, events: Callable[[], list[dict[str, Any]]]
) -> None:
    arn = package(aws, group)
    created = eventually(events)
    aws("sagemaker").update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    approved = eventually(events)

    assert [event["detail"]["ModelApprovalStatus"] for event in created] == ["PendingManualApproval"]
    assert [event["detail"]["ModelApprovalStatus"] for event in approved] == ["Approved"]
    assert approved[0]["resources"] == [arn]
    assert approved[0]["detail"]["ModelPackageVersion"] == 1


def test_given_a_package_when_updated_then_its_other_metadata_stays(aws: AWS, group: str) -> None:
    arn = package(aws, group)

    aws("sagemaker").update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", CustomerMetadataProperties={"layer": "l2"}
    )

    found = aws("sagemaker").describe_model_package(ModelPackageName=arn)
    assert found["CustomerMetadataProperties"] == {"run": "r1", "layer": "l2"}
    assert found["ModelApprovalStatus"] == "Approved"


def test_given_a_deleted_version_when_another_is_made_then_its_number_is_new(aws: AWS, group: str) -> None:
    first = package(aws, group)
    aws("sagemaker").delete_model_package(ModelPackageName=first)

    second = package(aws, group)

    assert second.endswith(f"{group}/2")
    listed = aws("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert [item["ModelPackageArn"] for item in listed] == [second]


def test_given_a_group_with_a_package_when_deleted_then_it_is_refused_until_it_is_empty(
    aws: AWS, group: str
) -> None:
    arn = package(aws, group)
    with pytest.raises(ClientError, match="still holds packages"):
        aws("sagemaker").delete_model_package_group(ModelPackageGroupName=group)
    aws("sagemaker").delete_model_package(ModelPackageName=arn)

    aws("sagemaker").delete_model_package_group(ModelPackageGroupName=group)

    with pytest.raises(ClientError, match="does not exist"):
        aws("sagemaker").describe_model_package_group(ModelPackageGroupName=group)
