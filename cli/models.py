"""Models of a workload in the registry: listed, chosen, approved, described."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cli.errors import CliError

if TYPE_CHECKING:
    from cli.session import Session


SPOILED = "put back an older value (aws ssm get-parameter-history), or {} to begin anew; then release"
"""What to do about a pointer that somebody else than Release has written."""
POINTER = ("approved_at", "bundle", "function_version", "layer", "package", "version")
"""What the pointer to the champion says; the comment at the head of Release's definition lists it too."""


@dataclass(frozen=True)
class Package:
    """A model package: its number in the group, the run that made it, its approval, its test metrics."""

    arn: str
    number: int
    run: str
    status: str
    created: datetime
    bundle: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)


def packages(session: Session, count: int = 20) -> list[Package]:
    """List the workload's newest packages, newest first."""
    client = session.client("sagemaker")
    listed = client.list_model_packages(
        ModelPackageGroupName=session.settings.name(session.workload),
        SortBy="CreationTime",
        SortOrder="Descending",
        MaxResults=count,
    )
    return [described(session, each["ModelPackageArn"]) for each in listed["ModelPackageSummaryList"]]


def described(session: Session, arn: str) -> Package:
    """Describe a package, with the metrics of its bundle's verdict."""
    held = session.client("sagemaker").describe_model_package(ModelPackageName=arn)
    told = held.get("CustomerMetadataProperties", {})
    bundle = told.get("bundle", "")
    return Package(
        arn=arn,
        number=int(held.get("ModelPackageVersion") or arn.rpartition("/")[2]),
        run=told.get("run", ""),
        status=held["ModelApprovalStatus"],
        created=held["CreationTime"],
        bundle=bundle,
        metrics=verdict(session, bundle).get("metrics", {}),
    )


def verdict(session: Session, bundle: str) -> dict[str, Any]:
    """Read a bundle's ``verdict.json``; empty where the bundle is gone."""
    return part(session, bundle, "verdict.json")


def manifest(session: Session, bundle: str) -> dict[str, Any]:
    """Read a bundle's ``manifest.json``; empty where the bundle is gone."""
    return part(session, bundle, "manifest.json")


def part(session: Session, bundle: str, name: str) -> dict[str, Any]:
    """Read the JSON object ``name`` of a bundle; empty where it is gone."""
    bucket, _, prefix = bundle.removeprefix("s3://").partition("/")
    s3 = session.client("s3")
    if not bucket:
        return {}
    try:
        body = s3.get_object(Bucket=bucket, Key=f"{prefix.rstrip('/')}/{name}")["Body"].read()
    except (s3.exceptions.NoSuchKey, s3.exceptions.NoSuchBucket):
        return {}
    return dict(json.loads(body))


def choose(known: Sequence[Package], asked: str) -> Package:
    """Find the package that ``asked`` names by its number, its run or its ARN.

    Raises `CliError` where none does.
    """
    for package in known:
        if asked in (package.arn, package.run, str(package.number)):
            return package
    remedy = "see which there are: millrace release"
    raise CliError(f"there is no model {asked!r} among the last {len(known)}", "the model registry", remedy)


def metrics_text(metrics: Mapping[str, Any]) -> str:
    """Give the metrics on the test split, or all where none is named so, in one line.

    For example ``test_auc 0.7193 · test_rows 71000``.
    """
    shown = {name: value for name, value in metrics.items() if name.startswith("test_")} or metrics
    return " · ".join(
        f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in shown.items()
        if not isinstance(value, dict)
    )


def champion(session: Session) -> dict[str, Any]:
    """Read the pointer to the model that serves; empty before the first release.

    Raises `CliError` where the parameter holds no whole pointer: Release alone should write it.
    """
    pointer = recorded(session)
    if pointer and (missing := [key for key in POINTER if not isinstance(pointer.get(key), str)]):
        where = f"the parameter {session.settings.parameter(session.workload, 'champion')}"
        raise CliError(f"it lacks {', '.join(missing)}: {json.dumps(pointer)[:200]}", where, SPOILED)
    return pointer


def recorded(session: Session) -> dict[str, Any]:
    """Read what the champion's parameter holds, whole or not.

    Raises `CliError` where that is no JSON object.
    """
    ssm = session.client("ssm")
    name = session.settings.parameter(session.workload, "champion")
    try:
        text = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound:
        return {}
    try:
        return dict(json.loads(text))
    except (TypeError, ValueError) as error:
        raise CliError(f"it is no JSON object: {text[:200]}", f"the parameter {name}", SPOILED) from error
