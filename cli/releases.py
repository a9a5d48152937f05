"""Releases of a registered model: approved or asked for, then followed to their end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli import runs
from cli.errors import CliError
from cli.models import Package, champion, described, metrics_text

if TYPE_CHECKING:
    from cli.console import Voice
    from cli.session import Session

REMEDY = "the former model serves; read `millrace logs release`, `millrace logs predict`, then release again"


def approve(session: Session, package: Package) -> None:
    """Approve a model; the registry's event then starts its release."""
    session.client("sagemaker").update_model_package(
        ModelPackageArn=package.arn, ModelApprovalStatus="Approved", ApprovalDescription="millrace release"
    )


def request_release(session: Session, machine: str, package: Package) -> str:
    """Start the release of a model that is approved already; give the execution's ARN."""
    started = session.client("stepfunctions").start_execution(
        stateMachineArn=machine,
        name=f"request-{runs.new_run()}",
        input=json.dumps({"reason": "request", "package": package.arn}),
    )
    return str(started["executionArn"])


def approval_release(session: Session, voice: Voice, machine: str, package: Package, known: set[str]) -> str:
    """Wait for the release that a model's approval starts; give the execution's ARN.

    Raises `CliError` where none has started within a minute.
    """
    with voice.busy("waiting for the approval to start the release"):
        arn = runs.await_execution(session, machine, package.arn, known)
    if not arn:
        remedy = f"ask for it: millrace release --package {package.number}{session.flags}"
        raise CliError("the approval has not started a release within 60 s", f"the rule of {machine}", remedy)
    return arn


def follow_release(session: Session, voice: Voice, arn: str) -> None:
    """Follow a release to its end, then say which model serves.

    Raises `CliError` with the root cause where the release failed.
    """
    try:
        ended = runs.follow(session, voice, arn, "release")
    except KeyboardInterrupt:
        voice.say(f"left. The release goes on: millrace status --run {arn.rpartition(':')[2]}{session.flags}")
        raise
    runs.succeeded(ended, "Release", REMEDY)
    outcome, note = ended.output.get("outcome"), ended.output.get("note")
    voice.say(f"release: {outcome}" + (f" ({note})" if note else ""))
    pointer = champion(session)
    if not pointer:
        return
    voice.say(f"the champion is {pointer['version']}, function version {pointer['function_version']}")
    voice.say(f"its metrics: {metrics_text(described(session, pointer['package']).metrics)}")
