"""What the deployed stacks say of themselves: the names that commands and scripts go by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cli.errors import CliError

if TYPE_CHECKING:
    from cli.session import Session
    from infra.settings import Settings

STACKS = ("registry", "pipeline", "serving", "endpoint", "release", "monitoring")
"""A workload's stacks, in the order in which they are deployed, after the environment's own."""

NAMES = {
    "api_url": ("serving", "ApiUrl"),
    "inference_url": ("serving", "InferenceUrl"),
    "function": ("serving", "FunctionName"),
    "endpoint_url": ("endpoint", "ApiUrl"),
    "endpoint": ("endpoint", "EndpointName"),
    "train_machine": ("pipeline", "TrainMachine"),
    "release_machine": ("release", "ReleaseMachine"),
    "glue_job": ("pipeline", "GlueJob"),
    "lake_bucket": ("foundation", "LakeBucket"),
    "models_bucket": ("foundation", "ModelsBucket"),
    "user_pool_id": ("foundation", "UserPoolId"),
    "client_id": ("foundation", "ClientId"),
    "token_url": ("foundation", "TokenUrl"),
    "scope": ("foundation", "Scope"),
    "topic_arn": ("foundation", "TopicArn"),
    "dashboard": ("monitoring", "Dashboard"),
}
"""Name for a script → the stack and the output that hold it."""
NEEDS = {"inference_url": "lambda", "endpoint_url": "endpoint", "endpoint": "endpoint"}
"""Names that are there only where ``serving.targets`` name this target."""

Place = tuple[str, str]
Stack = Mapping[str, Any]


def stack_names(session: Session) -> dict[str, str]:
    """Give the stacks of this environment and workload: part → name."""
    settings = session.settings
    names = {part: settings.stack(part) for part in ("foundation", "network", "image")}
    names |= {part: settings.stack(session.workload, part) for part in STACKS}
    left_out = {"image", "endpoint"} if not settings.has_endpoint else set()
    left_out |= {"network"} if not settings.network.vpc else set()
    return {part: name for part, name in names.items() if part not in left_out}


def stacks(session: Session) -> dict[str, Stack]:
    """Describe the stacks that exist, part → what CloudFormation says."""
    pages = session.client("cloudformation").get_paginator("describe_stacks").paginate()
    found = {stack["StackName"]: stack for page in pages for stack in page["Stacks"]}
    return {part: found[name] for part, name in stack_names(session).items() if name in found}


def places(settings: Settings) -> dict[str, Place]:
    """Say which names an environment has, and where each stands.

    ``api_url`` is the API that callers should use: the function's, or that of an endpoint that answers alone.
    """
    own = NAMES if settings.function_answers else NAMES | {"api_url": NAMES["endpoint_url"]}
    there = (None, *settings.serving.targets)
    return {name: place for name, place in own.items() if NEEDS.get(name) in there}


def values(found: Mapping[str, Stack], settings: Settings) -> dict[str, str]:
    """Give the outputs of stacks under the names that scripts use; what is not deployed is left out."""
    held = {
        (part, output["OutputKey"]): output["OutputValue"]
        for part, stack in found.items()
        for output in stack.get("Outputs", ())
    }
    return {name: held[place] for name, place in places(settings).items() if place in held}


def outputs(session: Session, needed: Iterable[str] = ()) -> dict[str, str]:
    """Read the names of everything deployed.

    Raises `CliError` where one of ``needed`` is missing, naming the stack that should hold it.
    """
    known = values(stacks(session), session.settings)
    for name in needed:
        if name not in known:
            raise missing(session, name)
    return known


def missing(session: Session, name: str) -> CliError:
    """Say why an output is not there: it is not deployed, or not asked for in the settings."""
    place = places(session.settings).get(name)
    if place is None:
        remedy = f'add "{NEEDS[name]}" to serving.targets there, and deploy'
        return CliError(
            f"it has no {name}", f"the environment's file environments/{session.env}.toml", remedy
        )
    part, key = place
    return CliError(
        f"there is no output {key}", f"the stack {stack_names(session)[part]}", deploy_hint(session)
    )


def deploy_hint(session: Session) -> str:
    """Say how to deploy this environment."""
    if session.local:
        return "deploy the environment: millrace up"
    return f"deploy the environment: cdk deploy -c env={session.env} --all"
