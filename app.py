"""Millrace on AWS or on the laptop: ``cdk deploy -c env=dev --all``."""

from __future__ import annotations

import aws_cdk as cdk

from infra import settings
from infra.bundling import function_code
from infra.stage import Environment


def main(app: cdk.App) -> None:
    """Synthesise the environment that the app's context names."""
    env = app.node.try_get_context("env")
    if not env:
        raise SystemExit("No environment was named. Add one: -c env=dev (see the folder environments/).")
    Environment(app, settings.load(env), function_code)
    app.synth()


if __name__ == "__main__":
    main(cdk.App())
