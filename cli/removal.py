"""Removes what releases and runs have made beside the stacks, so that the stacks can go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.models import recorded

if TYPE_CHECKING:
    from cli.session import Session

BATCH = 1000
"""Objects that S3 deletes in one call."""
GONE = {"Delay": 3, "MaxAttempts": 200}
"""How often to look whether an endpoint is gone, in seconds, and how many times."""


def running(session: Session, machines: Sequence[str]) -> list[str]:
    """List the executions that still run."""
    client = session.client("stepfunctions")
    return [
        execution["name"]
        for machine in machines
        for execution in client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]
    ]


def resources(session: Session, stack: str, kind: str) -> list[str]:
    """List the physical ids of a stack's resources of one type; nothing where the stack is not there."""
    client = session.client("cloudformation")
    try:
        pages = list(client.get_paginator("list_stack_resources").paginate(StackName=stack))
    except client.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return []
        raise
    found = [each for page in pages for each in page["StackResourceSummaries"]]
    return [each["PhysicalResourceId"] for each in found if each["ResourceType"] == kind]


def remove_versions(session: Session, function: str) -> int:
    """Point the alias back to the version that CloudFormation keeps, and delete every other version."""
    client = session.client("lambda")
    kept = [
        arn.rpartition(":")[2]
        for arn in resources(
            session, session.settings.stack(session.workload, "serving"), "AWS::Lambda::Version"
        )
    ]
    if len(kept) != 1:
        where = f"the stack {session.settings.stack(session.workload, 'serving')}"
        raise CliError(
            f"it holds {len(kept)} function versions, not 1", where, "deploy the stack, then again"
        )
    client.update_alias(
        FunctionName=function,
        Name="live",
        FunctionVersion=kept[0],
        RoutingConfig={"AdditionalVersionWeights": {}},
    )
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    numbers = [each["Version"] for page in pages for each in page["Versions"]]
    made = [number for number in numbers if number not in ("$LATEST", *kept)]
    for number in made:
        client.delete_function(FunctionName=function, Qualifier=number)
    return len(made)


def remove_layers(session: Session) -> int:
    """Delete the layer versions that releases have published."""
    client = session.client("lambda")
    arn = recorded(session).get("layer", "")
    if not arn:
        return 0
    name = arn.split(":")[6]
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=name)
    numbers = [each["Version"] for page in pages for each in page["LayerVersions"]]
    for number in numbers:
        client.delete_layer_version(LayerName=name, VersionNumber=number)
    return len(numbers)


def remove_packages(session: Session) -> int:
    """Delete the workload's model packages; a group with packages cannot be deleted."""
    client = session.client("sagemaker")
    group = session.settings.name(session.workload)
    pages = client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    arns = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
    for arn in arns:
        client.delete_model_package(ModelPackageName=arn)
    return len(arns)


def remove_endpoint(session: Session) -> int:
    """Delete the workload's endpoint with its configurations and models; count them."""
    client, name = session.client("sagemaker"), session.settings.name(session.workload)
    pattern = re.compile(re.escape(session.settings.hosted(session.workload)) + "-[0-9a-f]{12}")
    there = has_endpoint(session, name)
    if there:
        client.delete_endpoint(EndpointName=name)
        # Its configuration may not go before it.
        client.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=GONE)
    configs = _named(client, "list_endpoint_configs", "EndpointConfig", pattern)
    models = _named(client, "list_models", "Model", pattern)
    for config in configs:
        client.delete_endpoint_config(EndpointConfigName=config)
    for model in models:
        client.delete_model(ModelName=model)
    return there + len(configs) + len(models)


def _named(client: Any, operation: str, kind: str, pattern: re.Pattern[str]) -> list[str]:
    pages = client.get_paginator(operation).paginate()
    names = [each[f"{kind}Name"] for page in pages for each in page[f"{kind}s"]]
    return list(filter(pattern.fullmatch, names))


def has_endpoint(session: Session, name: str) -> bool:
    """Whether an endpoint of exactly this name exists."""
    pages = session.client("sagemaker").get_paginator("list_endpoints").paginate(NameContains=name)
    return any(each["EndpointName"] == name for page in pages for each in page["Endpoints"])


def empty(session: Session, bucket: str) -> Iterator[int]:
    """Delete all objects of a bucket with all their versions; give how many, batch by batch."""
    client = session.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": BATCH}
    ):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            delete(client, bucket, found)
            yield len(found)


def delete(client: Any, bucket: str, found: Sequence[Any]) -> None:
    """Delete object versions.

    Raises `CliError` that names the first that S3 keeps.
    """
    objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
    answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    if errors := answer.get("Errors"):
        first = errors[0]
        remedy = "allow the deletion of objects in this bucket, then again"
        raise CliError(f"{first['Code']}: {first['Message']}", f"s3://{bucket}/{first['Key']}", remedy)
