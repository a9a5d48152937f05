"""`millrace destroy`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cli import leftovers, removal
from cli.console import Voice
from cli.deployment import destroy_stacks
from cli.errors import CliError
from cli.outputs import Stack, stacks, values
from cli.session import session

if TYPE_CHECKING:
    from cli.session import Session


def destroy(*, env: str | None = None, yes: bool = False) -> None:
    """Remove the environment: what releases and runs made, then every stack.

    Data and keys go too, unless the environment retains them.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param yes: do not ask
    """
    here, voice = session(env, any_workload=True), Voice()
    found = stacks(here)
    if not found:
        voice.say(f"nothing is deployed in the environment {here.env}")
        return
    check_protection(here, found)
    confirm(here, yes)
    for workload in here.settings.workloads:
        clear(session(env, workload), voice)
    clear_buckets(here, voice)
    destroy_stacks(here, voice)
    voice.say(f"the environment {here.env} is gone")
    tell_what_stays(here, voice)


def tell_what_stays(here: Session, voice: Voice) -> None:
    """List what was retained under names that a new deploy needs, and how it gets past them."""
    if not here.settings.retain:
        return
    with voice.busy("looking for what is retained"):
        found = leftovers.leftovers(here)
    for each in found:
        voice.say(f"retained: {each.kind} {each.name}")
    if found:
        voice.say(f"before a new deploy: {leftovers.remedy(here, found)}")


def check_protection(here: Session, found: Mapping[str, Stack]) -> None:
    """Raise `CliError` where CloudFormation keeps a stack: clearing would leave an API without a model."""
    held = sorted(stack["StackName"] for stack in found.values() if stack.get("EnableTerminationProtection"))
    if not held:
        return
    command = "aws cloudformation update-termination-protection --no-enable-termination-protection"
    raise CliError(
        f"protected from deletion: {', '.join(held)}",
        f"the environment {here.env}",
        f"if you mean it, lift it for each, then again: {command} --stack-name <stack>",
    )


def confirm(here: Session, yes: bool) -> None:
    """Let the user type the environment's name.

    Raises `CliError` where something else was typed, or there is nobody to ask.
    """
    if yes:
        return
    kept = "its buckets and keys are retained" if here.settings.retain else "with all its data"
    if not sys.stdin.isatty():
        remedy = "say that you mean it: millrace destroy --yes"
        raise CliError("nobody is there to confirm it", f"the environment {here.env}", remedy)
    sys.stderr.write(f"This removes the environment {here.env} ({kept}). Type its name to go on: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != here.env:
        raise CliError("not confirmed, nothing was removed", f"the environment {here.env}", "type its name")


def clear(here: Session, voice: Voice) -> None:
    """Remove what releases of one workload have made.

    Raises `CliError` while one of its state machines is at work.
    """
    found = stacks(here)
    names = values(found, here.settings)
    machines = [names[key] for key in ("train_machine", "release_machine") if key in names]
    if busy := removal.running(here, machines):
        remedy = "wait until they have ended (millrace status), or stop them"
        raise CliError(f"runs are going on: {', '.join(busy)}", f"the workload {here.workload}", remedy)
    with voice.busy(f"removing what releases of {here.workload} made"):
        if "function" in names:
            voice.say(f"{removal.remove_versions(here, names['function'])} function versions removed")
            voice.say(f"{removal.remove_layers(here)} layer versions removed")
        if here.settings.has_endpoint:
            voice.say(f"{removal.remove_endpoint(here)} of endpoint, configurations and models removed")
        if "registry" in found:
            voice.say(f"{removal.remove_packages(here)} model packages removed")


def clear_buckets(here: Session, voice: Voice) -> None:
    """Empty the environment's buckets, unless it retains them."""
    if here.settings.retain:
        voice.say("the buckets are retained, with what lies in them")
        return
    for bucket in removal.resources(here, here.settings.stack("foundation"), "AWS::S3::Bucket"):
        with voice.busy(f"emptying {bucket}") as activity:
            gone = 0
            for count in removal.empty(here, bucket):
                gone += count
                activity.text = f"emptying {bucket}: {gone} objects"
        voice.say(f"{gone} objects removed from {bucket}")
