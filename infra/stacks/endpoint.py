"""What a SageMaker endpoint stands on, and the API before it. The endpoint itself is made by the release.

CloudFormation owns the role, the log, the alarms that undo an update, the function that passes requests on,
and its API, which stands beside those of the predict function, where it has some: one REST method has one
integration. Release owns the model, the endpoint's configurations and the endpoint, and writes last which of
them is in force.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs import access
from infra.constructs.api import ENDPOINT, Api
from infra.constructs.function import Function
from infra.settings import Settings
from infra.stacks.foundation import Foundation
from infra.stacks.image import Image
from infra.stacks.network import Network

VARIANT = "live"
"""The endpoint's one production variant: updates with a canary ask for the same name before and after."""
NONE = "none"
"""What the parameter holds before the first release."""
MICROSECONDS = 1000
"""Of a millisecond: the unit of SageMaker's latencies."""


def code_hash(settings: Settings, source_hash: str) -> str:
    """Digest of what makes an endpoint another one but its model: the image's source, and its settings."""
    parts = [source_hash, dataclasses.asdict(settings.endpoint)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Endpoint(cdk.Stack):
    """Exposes what the release needs, from ``name`` to ``code_hash``.

    These are ``name`` (of the endpoint), ``variant``, ``image_uri_in(stack)``, ``execution_role``,
    ``volume_key``, ``vpc_config``, ``alarm_names``, ``parameter_name`` and ``code_hash``, which changes with
    everything that makes the endpoint another one but the model.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        foundation: Foundation,
        image: Image,
        network: Network | None = None,
        function_code: Callable[[str, Settings], lambda_.Code],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.foundation, self.image = foundation, image
        self.name, self.variant = settings.name(workload), VARIANT
        self.parameter_name = settings.parameter(workload, "endpoint")
        self.volume_key = foundation.keys.models.key_arn
        self.network = network
        self.vpc_config = network.config(network.models) if network else None
        self.log = logs.LogGroup(self, "Log", log_group_name=f"/aws/sagemaker/Endpoints/{self.name}")
        self.execution_role = self._build_execution_role()
        self.alarm_names: list[str] = []
        self._build_alarms()
        self._seed_parameter()
        self.forward = self._build_forward(function_code)
        api = Api(
            self,
            "Http",
            settings,
            workload,
            function_arn=self.forward.function_arn,
            user_pool=foundation.user_pool,
            oauth_scope=foundation.scope,
            part=ENDPOINT,
        )
        self.code_hash = code_hash(settings, image.source_hash)
        cdk.CfnOutput(self, "ApiUrl", value=api.url)
        cdk.CfnOutput(self, "EndpointName", value=self.name)

    def image_uri_in(self, stack: cdk.Stack) -> str:
        """The image as it is when ``stack`` is deployed, by its digest; on the laptop a name of no image."""
        return self.image.uri_in(stack)

    def _seed_parameter(self) -> None:
        ssm.StringParameter(
            self,
            "InForce",
            parameter_name=self.parameter_name,
            description="Endpoint, configuration, model and version in force; written by the release",
            string_value=NONE,
        )

    # ---- the container's role -----------------------------------------------------------------

    def _build_execution_role(self) -> iam.Role:
        """SageMaker fetches bundle and image with it; the container itself is cut off from every network."""
        role = access.service_role(
            self, "Role", "sagemaker.amazonaws.com", description=f"What the endpoint {self.name} may do"
        )
        access.allow_objects(role, self.foundation.models, f"{self.workload}/runs/*/bundle")
        self._let_image(role)
        access.allow_metrics(role, "/aws/sagemaker/Endpoints")
        access.allow_logs(role, self.log)
        # SageMaker makes sure of the group itself before it writes there.
        access.allow(role, ("logs:CreateLogGroup", "logs:DescribeLogStreams"), self.log.log_group_arn)
        if self.network:
            self.network.let_sagemaker(role, self.network.models)
        return role

    def _let_image(self, role: iam.Role) -> None:
        repository = self._arn("ecr", f"repository/{self.image.repository_name}")
        access.allow(
            role,
            ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
            repository,
        )
        # Signing in to a registry takes no resource; allow_metrics acknowledges the finding.
        access.allow(role, ("ecr:GetAuthorizationToken",), "*")

    # ---- what undoes an update ----------------------------------------------------------------

    def _build_alarms(self) -> None:
        """Their names are fixed: an update names them, and SageMaker undoes it when one rings."""
        limit = self.settings.alarms.latency_ms
        self._alarm(
            "Latency",
            self._metric("ModelLatency", "p99"),
            limit * MICROSECONDS,
            f"One request in a hundred takes the model {limit} ms or more: an update is undone.",
        )
        self._alarm(
            "Errors",
            self._metric("Invocation5XXErrors", "Sum"),
            1,
            "The model's container answers 5xx: an update is undone; read the endpoint's log.",
        )

    def _alarm(self, id: str, metric: cloudwatch.IMetric, threshold: float, description: str) -> None:
        name = self.settings.name(self.workload, f"model{id.lower()}")
        self.alarm_names.append(name)
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_name=name,
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        # SageMaker looks at it in the endpoint's name while an update goes on.
        access.allow(self.execution_role, ("cloudwatch:DescribeAlarms",), alarm.alarm_arn)
        alarm.add_alarm_action(actions.SnsAction(self.foundation.topic))
        alarm.add_ok_action(actions.SnsAction(self.foundation.topic))

    def _metric(self, name: str, statistic: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map={"EndpointName": self.name, "VariantName": VARIANT},
            statistic=statistic,
            period=cdk.Duration.minutes(1),
        )

    # ---- what passes requests on --------------------------------------------------------------

    def _build_forward(self, function_code: Callable[[str, Settings], lambda_.Code]) -> lambda_.Function:
        serving = self.settings.serving
        forward = Function(
            self,
            "Forward",
            self.settings,
            name=self.settings.name(self.workload, "forward"),
            log_group_name=self.settings.logs(self.workload, "forward"),
            handler="forward.app.handler",
            code=function_code("forward", self.settings),
            description=f"Passes requests on to the endpoint {self.name}",
            timeout_seconds=serving.timeout_seconds,
            memory_mb=512,
            environment={
                "MILLRACE_ENVIRONMENT": self.settings.env,
                "MILLRACE_ENDPOINT": self.name,
                "MILLRACE_WORKLOAD": self.workload,
                "MILLRACE_RUNTIME_URL": self._runtime_url(),
            },
        )
        endpoint = self._arn("sagemaker", f"endpoint/{self.name}")
        access.allow(forward.role, ("sagemaker:InvokeEndpoint",), endpoint)
        return forward.function

    def _runtime_url(self) -> str:
        return self.settings.emulator or f"https://runtime.sagemaker.{self.region}.{self.url_suffix}"

    def _arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
