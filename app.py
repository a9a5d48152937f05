"""Millrace on AWS or on the laptop: ``cdk deploy -c env=dev --all``."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_

from infra import settings
from infra.stage import Environment


def main() -> None:
    """Make the stacks of the environment that the context names."""
    app = cdk.App()
    env = app.node.try_get_context("env")
    if not env:
        raise SystemExit("No environment was named. Add one: -c env=dev (see the folder environments/).")
    Environment(app, settings.load(env), lambda name, _: lambda_.Code.from_asset(f"functions/{name}"))
    app.synth()


if __name__ == "__main__":
    main()
