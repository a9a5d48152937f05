"""What puts an approved model into service: the release machine, what starts it, and its last check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import machines
from infra.constructs import access
from infra.constructs.acknowledge import acknowledge, acknowledge_resource
from infra.constructs.api import INFERENCE, Published, parts
from infra.constructs.endpoint_machine import EndpointMachine
from infra.constructs.function import Function
from infra.constructs.machine import Machine
from infra.settings import Settings
from infra.stacks.endpoint import Endpoint
from infra.stacks.foundation import Foundation
from infra.stacks.registry import Registry
from infra.stacks.serving import Serving

APPROVED = "SageMaker Model Package State Change"
"""The event with which the registry says that a package's approval changed."""
TABLE_KEY = ("kms:ReEncryptFrom", "kms:ReEncryptTo", *access.ENCRYPT)
"""What DynamoDB does in its caller's name with the key of a table."""
NO_ENDPOINT = "none"
"""What fills the machine's placeholders where no SageMaker endpoint answers."""


class Release(cdk.Stack):
    """Exposes ``machine``, ``probe``, ``rule`` and ``dead_letters``.

    Three things start the machine: the registry's approval event, a deploy that changed the predict
    function, and an operator.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        foundation: Foundation,
        registry: Registry,
        serving: Serving,
        endpoint: Endpoint | None = None,
        function_code: Callable[[str, Settings], lambda_.Code],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.foundation, self.registry, self.serving = foundation, registry, serving
        self.endpoint = endpoint
        self.function_code = function_code
        self.group = settings.name(workload)
        self.layer_name = settings.name(workload, "bundle")
        self.probe = self._build_probe()
        self.hosting = self._build_hosting()
        release = Machine(
            self,
            "Release",
            name=settings.name(workload, "release"),
            definition=machines.definition("release"),
            substitutions=self._substitutions(),
        )
        self.machine = release.machine
        self._let_machine(release.role)
        self.dead_letters = self._build_dead_letters()
        self.rule = self._build_rule()
        self._announce_deploys()
        cdk.CfnOutput(self, "ReleaseMachine", value=self.machine.state_machine_arn)

    def _substitutions(self) -> dict[str, str]:
        """What fills the placeholders of the definition, by name."""
        function = self.serving.function
        return {
            "Environment": self.settings.env,
            "Workload": self.workload,
            "FunctionName": function.function_name,
            "FunctionArn": function.function_arn,
            "Bootstrap": self.serving.bootstrap.attr_version,
            "LayerName": self.layer_name,
            "LayerParameter": self.registry.layer_parameter_name,
            "ChampionParameter": self.registry.champion_parameter_name,
            "ReleasesTable": self.registry.releases.table_name,
            "PackageGroup": self.group,
            "Models": self.foundation.models.bucket_name,
            "Probe": self.probe.function_arn,
            "TopicArn": self.foundation.topic.topic_arn,
            "EndpointMachine": self.hosting.machine.state_machine_arn if self.hosting else NO_ENDPOINT,
            "EndpointParameter": self.endpoint.parameter_name if self.endpoint else NO_ENDPOINT,
        }

    def _build_hosting(self) -> EndpointMachine | None:
        """The machine that updates the SageMaker endpoint, where there is one."""
        if self.endpoint is None:
            return None
        hosting = EndpointMachine(
            self, "Hosting", self.settings, self.workload, endpoint=self.endpoint, registry=self.registry
        )
        access.allow_key(hosting.role, self.foundation.keys.operations, *TABLE_KEY)
        return hosting

    # ---- what starts it -----------------------------------------------------------------------

    def _build_dead_letters(self) -> sqs.Queue:
        """Where an approval lands whose release could not be started."""
        queue = sqs.Queue(self, "DeadLetters", queue_name=self.settings.name(self.workload, "dead-letters"))
        acknowledge(queue, "SQS3", "This queue is the dead-letter queue; an alarm watches it.")
        return queue

    def _build_rule(self) -> events.Rule:
        target = targets.SfnStateMachine(
            self.machine,
            dead_letter_queue=self.dead_letters,
            retry_attempts=20,
            max_event_age=cdk.Duration.hours(24),
        )
        return events.Rule(
            self,
            "Approved",
            rule_name=self.settings.name(self.workload, "approved"),
            description=f"A model of {self.workload} was approved: release it",
            event_pattern=events.EventPattern(
                source=["aws.sagemaker"],
                detail_type=[APPROVED],
                detail={"ModelPackageGroupName": [self.group], "ModelApprovalStatus": ["Approved"]},
            ),
            targets=[target],
        )

    def _announce_deploys(self) -> None:
        """A resource that CloudFormation updates, and so reports, whenever the predict function changed."""
        announce = self._build_function(
            "Announce",
            "announce",
            description="Starts a release when a deploy changed the predict function",
            timeout_seconds=60,
            environment={"RELEASE_MACHINE": self.machine.state_machine_arn},
        )
        access.allow(announce.role, ("states:StartExecution",), self.machine.state_machine_arn)
        deploys = cdk.CustomResource(
            self,
            "Deploys",
            resource_type="Custom::MillraceDeploy",
            service_token=announce.function.function_arn,
            service_timeout=cdk.Duration.minutes(5),
            properties={
                "Function": self.serving.code_hash,
                **({"Endpoint": self.endpoint.code_hash} if self.endpoint else {}),
            },
        )
        # Both may do their work once their policies are there.
        deploys.node.add_dependency(announce.role, self.machine.role)
        if self.hosting:
            deploys.node.add_dependency(self.hosting.role)

    # ---- what checks it -----------------------------------------------------------------------

    def _build_probe(self) -> lambda_.Function:
        foundation = self.foundation
        # The Open Inference Protocol's is another way to the function that the first API asks.
        asked = [part for part in parts(self.settings) if part != INFERENCE]
        apis = [Published(self, self.settings, self.workload, part) for part in asked]
        probe = self._build_function(
            "Probe",
            "probe",
            description="Asks every API, as a caller would, what a new model should answer",
            timeout_seconds=150,
            environment={
                "PROBE_API_URLS": " ".join(api.url for api in apis),
                "PROBE_TOKEN_URL": foundation.token_url,
                "PROBE_USER_POOL": foundation.user_pool.user_pool_id,
                "PROBE_CLIENT": foundation.client.user_pool_client_id,
                "PROBE_SCOPE": foundation.scope,
                "PROBE_MODEL": self.workload,
                "PROBE_AUTH": self.settings.api.auth,
            },
        )
        if self.settings.signed:
            route = f"/v1/models/{self.workload}/predict"
            called = [api.arn("POST", route) for api in apis]
            access.allow(probe.role, ("execute-api:Invoke",), *called)
        else:
            pool = foundation.user_pool.user_pool_arn
            access.allow(probe.role, ("cognito-idp:DescribeUserPoolClient",), pool)
        return probe.function

    def _build_function(
        self, id: str, name: str, *, description: str, timeout_seconds: int, environment: dict[str, str]
    ) -> Function:
        return Function(
            self,
            id,
            self.settings,
            name=self.settings.name(self.workload, name),
            log_group_name=self.settings.logs(self.workload, name),
            handler=f"{name}.app.handler",
            code=self.function_code(name, self.settings),
            description=description,
            timeout_seconds=timeout_seconds,
            memory_mb=256,
            environment=environment,
        )

    # ---- what the machine may do --------------------------------------------------------------

    def _let_machine(self, role: iam.Role) -> None:
        self._let_change_function(role)
        self._let_change_layers(role)
        self._let_read_package(role)
        self._let_keep_books(role)
        if self.hosting:
            self.hosting.let_be_run_by(role)
        access.allow(role, ("lambda:InvokeFunction",), self.probe.function_arn)
        access.allow(role, ("sns:Publish",), self.foundation.topic.topic_arn)
        access.allow_key(role, self.foundation.keys.operations, *TABLE_KEY)

    def _let_change_function(self, role: iam.Role) -> None:
        function = self._arn("lambda", f"function:{self.settings.name(self.workload, 'predict')}")
        qualified = f"{function}:*"
        access.allow(
            role,
            (
                "lambda:GetAlias",
                "lambda:UpdateAlias",
                "lambda:GetFunctionConfiguration",
                "lambda:UpdateFunctionConfiguration",
                "lambda:PublishVersion",
                "lambda:ListVersionsByFunction",
            ),
            function,
        )
        # Deleting is allowed with a version's number alone: without one it would delete the function.
        access.allow(
            role,
            (
                "lambda:GetAlias",
                "lambda:UpdateAlias",
                "lambda:GetFunctionConfiguration",
                "lambda:InvokeFunction",
                "lambda:DeleteFunction",
            ),
            qualified,
        )
        acknowledge_resource(
            role, qualified, "Versions are numbered as they are published; the function bounds them."
        )

    def _let_change_layers(self, role: iam.Role) -> None:
        layer = self._arn("lambda", f"layer:{self.layer_name}")
        access.allow(role, ("lambda:PublishLayerVersion",), layer)
        # Listing takes no resource; the machine's role acknowledges the finding.
        access.allow(role, ("lambda:ListLayerVersions",), "*")
        access.allow(role, ("lambda:GetLayerVersion", "lambda:DeleteLayerVersion"), f"{layer}:*")
        acknowledge_resource(
            role, f"{layer}:*", "Layers are numbered as they are published; the name bounds them."
        )
        # A first release that fails puts the layer without a model back.
        empty = self.registry.node.find_child("EmptyBundle")
        assert isinstance(empty, lambda_.LayerVersion)
        access.allow(role, ("lambda:GetLayerVersion",), empty.layer_version_arn)

    def _let_read_package(self, role: iam.Role) -> None:
        packages = self._arn("sagemaker", f"model-package/{self.group}/*")
        access.allow(role, ("sagemaker:DescribeModelPackage",), packages)
        acknowledge_resource(
            role, packages, "Packages are numbered as they are registered; the group bounds them."
        )
        access.allow_objects(role, self.foundation.models, f"{self.workload}/runs")

    def _let_keep_books(self, role: iam.Role) -> None:
        """The lock and the pointers."""
        access.allow(
            role,
            ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
            self.registry.releases.table_arn,
        )
        names = [self.registry.layer_parameter_name, self.registry.champion_parameter_name]
        if self.endpoint:
            names.append(self.endpoint.parameter_name)
        access.allow(
            role,
            ("ssm:GetParameters", "ssm:PutParameter"),
            *(self._arn("ssm", f"parameter{name}") for name in names),
        )

    def _arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"
