"""A Lambda function with its own log group and a role that may write only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.access import allow_logs, service_role
from infra.constructs.acknowledge import acknowledge, acknowledge_lint
from infra.settings import Settings

CURRENT = "3.14"
"""The newest Python that Lambda runs."""
SNAPSHOTS_SINCE = 12
"""The first minor version of Python 3 with SnapStart."""


class Function(Construct):
    """Exposes ``function`` (runtime and architecture as the environment's settings say) and ``role``."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        *,
        name: str,
        log_group_name: str,
        handler: str,
        code: lambda_.Code,
        description: str,
        timeout_seconds: int,
        memory_mb: int,
        environment: Mapping[str, str],
        layers: Sequence[lambda_.ILayerVersion] = (),
        snap_start: bool = False,
    ) -> None:
        super().__init__(scope, id)
        self.role = service_role(
            self, "Role", "lambda.amazonaws.com", description=f"What the function {name} may do"
        )
        group = logs.LogGroup(self, "Log", log_group_name=log_group_name)
        allow_logs(self.role, group)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=description,
            runtime=_runtime(settings.serving.python),
            architecture=_architecture(settings.serving.architecture),
            handler=handler,
            code=code,
            role=self.role,
            log_group=group,
            timeout=cdk.Duration.seconds(timeout_seconds),
            memory_size=memory_mb,
            environment=dict(environment),
            layers=list(layers),
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        )
        if snap_start:
            cdk.Annotations.of(self.function).acknowledge_warning(
                "@aws-cdk/aws-lambda:snapStartRequirePublish", "The release publishes versions."
            )
        self._acknowledge(settings)

    def _acknowledge(self, settings: Settings) -> None:
        acknowledge(
            self.role,
            "IAM5[Resource::*]",
            "X-Ray's PutTraceSegments has no resource type; everything else names its resource.",
        )
        acknowledge_lint(self.function, "W3005", "CDK makes every function depend on its role, twice over.")
        if settings.serving.python != CURRENT:
            acknowledge(
                self.function,
                "L1",
                f"The runtime is a setting; Python {settings.serving.python} has the engine's wheels.",
            )


def _runtime(python: str) -> lambda_.Runtime:
    """CDK has to be told what a runtime can do; snapshots came with Python 3.12."""
    minor = int(python.partition(".")[2])
    return lambda_.Runtime(
        f"python{python}", lambda_.RuntimeFamily.PYTHON, supports_snap_start=minor >= SNAPSHOTS_SINCE
    )


def _architecture(name: str) -> lambda_.Architecture:
    return lambda_.Architecture.ARM_64 if name == "arm64" else lambda_.Architecture.X86_64
