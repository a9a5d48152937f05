"""Assumptions about the registry, the approval's event, the function's versions and the alias."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cli.console import stamp
from cli.models import packages
from tests.smoke_aws.environment import ALIAS, Environment, Execution
from tests.smoke_aws.findings import Finding, Refuted, Settled, Unknown, assumption
from tests.smoke_aws.machines import proof

DENIED = "AccessDenied|not authorized|KMS"
PATIENCE = timedelta(minutes=10)
"""An approval that has started nothing for so long has not been heard."""


@assumption("B1")
def approvals_start_releases(environment: Environment) -> Finding:
    """A release whose input is the registry's event, and which started after the event's time."""
    for each in environment.releases:
        if "detail" in each.input:
            return event_finding(each)
    return unheard_approval(environment)


def event_finding(release: Execution) -> Finding:
    """Check the event that started a release: its group, status and ARN, and its time."""
    event = release.input
    detail, moment = event["detail"], datetime.fromisoformat(event["time"])
    arn = detail.get("ModelPackageArn") or next(iter(event.get("resources", ())), "")
    told = f"{release.name} started {stamp(release.started)} by the event of {stamp(moment)} for {arn}"
    known = arn and detail.get("ModelPackageGroupName") and detail.get("ModelApprovalStatus") == "Approved"
    # The event's time is in whole seconds.
    return Settled(told) if known and release.started >= moment else Refuted(f"{told}: {detail}")


def unheard_approval(environment: Environment) -> Finding:
    """Tell whether an approval should have started a release by now."""
    client = environment.session.client("sagemaker")
    for each in packages(environment.session, 5):
        if each.status != "Approved":
            continue
        changed = client.describe_model_package(ModelPackageName=each.arn).get(
            "LastModifiedTime", each.created
        )
        told = f"model {each.number} was approved {stamp(changed)} and no event has started a release"
        return Refuted(told) if datetime.now(UTC) - changed > PATIENCE else Unknown(f"{told} yet")
    return Unknown("no model has been approved yet: millrace release")


@assumption("B2")
def packages_are_registered(environment: Environment) -> Finding:
    """The newest package of the group, else how the attempt to register one ended."""
    for each in packages(environment.session, 1):
        held = environment.session.client("sagemaker").describe_model_package(ModelPackageName=each.arn)
        state = held["ModelPackageStatus"]
        told = f"model {each.number} of run {each.run}, {state}, {each.status}, made {stamp(each.created)}"
        return Refuted(told) if state == "Failed" else Settled(told)
    return proof(environment.trains, ("Register",), f"{DENIED}|Validation")


@assumption("B3")
def layers_alone_are_changed(environment: Environment) -> Finding:
    """A release gave the function its layer and published the version."""
    return proof(environment.releases, ("ApplyLayer", "PublishVersion"), DENIED)


@assumption("B4")
def layers_are_published(environment: Environment) -> Finding:
    """A release made a layer from the bundle in S3."""
    return proof(environment.releases, ("PublishLayer",), DENIED)


@assumption("B5")
def deploys_leave_the_alias(environment: Environment) -> Finding:
    """The pointers agree, and a deploy that came after them has not changed that."""
    if not environment.champion:
        return Unknown("no model has been released yet: millrace release")
    if any(each.status == "RUNNING" for each in environment.releases):
        return Unknown("a release is going on: look again when it has ended")
    apart = disagreement(environment)
    return Refuted(apart) if apart else deploy_finding(environment)


def disagreement(environment: Environment) -> str:
    """Say where alias, layer and champion differ; "" where they agree."""
    session, champion = environment.session, environment.champion
    alias = session.client("lambda").get_alias(FunctionName=environment.names["function"], Name=ALIAS)
    name = session.settings.parameter(session.workload, "layer")
    layer = session.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    on_live = [each["Arn"] for each in environment.live.get("Layers", ())]
    if alias["FunctionVersion"] != champion["function_version"]:
        return f"live is version {alias['FunctionVersion']}, the champion's {champion['function_version']}"
    if on_live != [layer] or layer != champion["layer"]:
        return f"the layers of live are {on_live}, {name} says {layer}, the champion {champion['layer']}"
    return ""


def deploy_finding(environment: Environment) -> Finding:
    """Find a deploy of the serving stack that met a champion, and how it left the alias."""
    for each in environment.releases:
        found = alias_after(each) if each.input.get("reason") == "deploy" else None
        if found:
            return found
    stack, version = environment.stacks["serving"], environment.champion["function_version"]
    deployed, published = stack.get("LastUpdatedTime", stack["CreationTime"]), moment(environment.live)
    told = f"live is the champion's version {version}, published {stamp(published)}"
    if deployed > published:
        return Settled(f"{told}, after the deploy of {stamp(deployed)}")
    return Unknown(f"{told}; no deploy has come after it: deploy again, then look again")


def alias_after(deploy: Execution) -> Finding | None:
    """Compare where a deploy's release found the alias with the champion of then; None where it is silent."""
    champion = deploy.variables("ReadPointers").get("champion", {}).get("function_version")
    found = deploy.variables("LookAtAlias").get("former", {}).get("version")
    if not champion or not found:
        return None
    told = f"{deploy.name} found live on version {found}, the champion's was {champion}"
    return Settled(told) if found == champion else Refuted(told)


def moment(configuration: dict[str, Any]) -> datetime:
    """Give when a version was published; Lambda writes the zone without a colon."""
    return datetime.strptime(configuration["LastModified"], "%Y-%m-%dT%H:%M:%S.%f%z")


@assumption("B6")
def aliases_reach_callers(environment: Environment) -> Finding:
    """The release's last check met the new model through the API."""
    return proof(environment.releases, ("Probe",), "serves model")


@assumption("B7", only_aws="it reports every published version as optimized, and takes no snapshot")
def snapshots_become_ready(environment: Environment) -> Finding:
    """The live version has its snapshot."""
    live = environment.live
    snapshot, version = live.get("SnapStart", {}), live["Version"]
    told = f"version {version}: State {live.get('State')}, SnapStart {snapshot.get('OptimizationStatus')}"
    if snapshot.get("ApplyOn") != "PublishedVersions":
        return Unknown(f"{told}, not asked for in {environment.session.env}: serving.snap_start")
    if not environment.champion:
        return Unknown(f"{told}, and no model has been released yet")
    ready = live.get("State") in ("Active", "Inactive") and snapshot["OptimizationStatus"] == "On"
    return Settled(told) if ready else Refuted(told)
