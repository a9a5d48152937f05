"""What an environment's stacks have left behind, and a new deploy would collide with.

An environment that retains its data keeps tables, log groups, model package groups and the registry of its
server's images when its stacks are destroyed. Their names are fixed, so CloudFormation cannot make them
again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli import removal
from cli.outputs import Stack, stack_names, stacks

if TYPE_CHECKING:
    from cli.session import Session


@dataclass(frozen=True)
class Leftover:
    """A resource that belongs to no stack: its kind, its name, and the command that removes it."""

    kind: str
    name: str
    removal: str


def leftovers(session: Session) -> list[Leftover]:
    """List what is left behind of every workload whose stacks are not all deployed."""
    found: list[Leftover] = []
    for workload in session.settings.workloads:
        # The session itself where it will do: it has made its clients already.
        here = session if workload == session.workload else dataclasses.replace(session, workload=workload)
        deployed = stacks(here)
        if set(deployed) == set(stack_names(here)):
            continue
        if "registry" not in deployed:
            found += [*_table(here), *_group(here)]
        if "release" not in deployed:
            found += _endpoint(here)
        if "image" not in deployed:
            found += _images(here)
        found += _log_groups(here, deployed)
    return list(dict.fromkeys(found))


def stranded(session: Session) -> list[Leftover]:
    """List what still stands of endpoints in an environment whose targets name none any more."""
    if session.settings.has_endpoint:
        return []
    pages = session.client("cloudformation").get_paginator("describe_stacks").paginate()
    deployed = {stack["StackName"] for page in pages for stack in page["Stacks"]}
    found: list[Leftover] = []
    for workload in session.settings.workloads:
        here = session if workload == session.workload else dataclasses.replace(session, workload=workload)
        # Of an environment that is destroyed as a whole, `leftovers` tells.
        if session.settings.stack(workload, "release") in deployed:
            found += _endpoint(here)
        found += _stack(session.settings.stack(workload, "endpoint"), deployed)
    return [*found, *_stack(session.settings.stack("image"), deployed)]


def _stack(name: str, deployed: Collection[str]) -> Iterator[Leftover]:
    if name in deployed:
        yield Leftover("stack", name, f"aws cloudformation delete-stack --stack-name {name}")


def _table(session: Session) -> Iterator[Leftover]:
    client, name = session.client("dynamodb"), session.settings.name(session.workload, "releases")
    try:
        client.describe_table(TableName=name)
    except client.exceptions.ResourceNotFoundException:
        return
    unprotect = f"aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled"
    yield Leftover("table", name, f"{unprotect} && aws dynamodb delete-table --table-name {name}")


def _group(session: Session) -> Iterator[Leftover]:
    client, name = session.client("sagemaker"), session.settings.name(session.workload)
    listed = client.list_model_package_groups(NameContains=name, MaxResults=100)
    if name in [each["ModelPackageGroupName"] for each in listed["ModelPackageGroupSummaryList"]]:
        command = f"aws sagemaker delete-model-package-group --model-package-group-name {name}"
        yield Leftover("model package group", name, command)


def _endpoint(session: Session) -> Iterator[Leftover]:
    """An endpoint, which releases make and no stack takes away: it costs as long as it is there."""
    name = session.settings.name(session.workload)
    if removal.has_endpoint(session, name):
        yield Leftover("endpoint", name, f"aws sagemaker delete-endpoint --endpoint-name {name}")


def _images(session: Session) -> Iterator[Leftover]:
    """The registry of the server's images; the laptop builds none."""
    if session.local or not session.settings.has_endpoint:
        return
    client, name = session.client("ecr"), session.settings.stack("server")
    try:
        client.describe_repositories(repositoryNames=[name])
    except client.exceptions.RepositoryNotFoundException:
        return
    yield Leftover("image repository", name, f"aws ecr delete-repository --force --repository-name {name}")


def _log_groups(session: Session, deployed: dict[str, Stack]) -> Iterator[Leftover]:
    client = session.client("logs")
    owned = _owned_log_groups(session, [stack["StackName"] for stack in deployed.values()])
    pages = client.get_paginator("describe_log_groups")
    settings, workload = session.settings, session.workload
    prefixes = (settings.logs(workload, ""), f"/aws/vendedlogs/states/{settings.name(workload)}-")
    whole = (
        f"/aws/sagemaker/Endpoints/{settings.name(workload)}",
        *(f"/millrace/{settings.env}/{name}" for name in ("image", "make-image", "network")),
    )
    for prefix in (*prefixes, *whole):
        for page in pages.paginate(logGroupNamePrefix=prefix):
            for name in (each["logGroupName"] for each in page["logGroups"]):
                if name not in owned and (prefix in prefixes or name == prefix):
                    yield Leftover("log group", name, f"aws logs delete-log-group --log-group-name {name}")


def _owned_log_groups(session: Session, names: Sequence[str]) -> set[str]:
    pages = session.client("cloudformation").get_paginator("list_stack_resources")
    return {
        each["PhysicalResourceId"]
        for name in names
        for page in pages.paginate(StackName=name)
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == "AWS::Logs::LogGroup"
    }


def remedy(session: Session, found: Sequence[Leftover]) -> str:
    """Say how a new deploy gets past ``found``: by taking them over, where they are retained, or without."""
    commands = "; ".join(each.removal for each in found)
    if not session.settings.retain:
        return f"remove them: {commands}"
    take = f"cdk deploy -c env={session.env} --all --import-existing-resources"
    return f"let the new stacks take them over: {take}; or, if nobody needs them, remove them: {commands}"
