"""The machine that puts a checked bundle behind the SageMaker endpoint, and what it may do."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import machines
from infra.constructs import access
from infra.constructs.acknowledge import acknowledge_resource
from infra.constructs.machine import Machine
from infra.settings import Settings
from infra.stacks.endpoint import Endpoint
from infra.stacks.registry import Registry

MINUTE = 60
START_SECONDS = 1800
"""What instances may take to start, beside the time for which the canary is watched."""
DIGITS = 12
"""What the machine appends to the prefix to name a release's model and configuration."""
NO_NETWORK = "none"
"""What fills the machine's placeholders where the containers are in no network of ours."""
SCALING = "sagemaker.application-autoscaling.amazonaws.com"


class EndpointMachine(Construct):
    """Exposes ``machine`` and ``role``."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        endpoint: Endpoint,
        registry: Registry,
    ) -> None:
        super().__init__(scope, id)
        self.settings, self.workload = settings, workload
        self.endpoint, self.registry = endpoint, registry
        self.prefix = settings.hosted(workload)
        made = Machine(
            self,
            "Update",
            name=settings.name(workload, "endpoint"),
            definition=machines.definition("endpoint"),
            substitutions=self._substitutions(),
        )
        self.machine, self.role = made.machine, made.role
        self._let_host()
        self._let_pass_on()
        self._let_scale()
        access.allow(self.role, ("dynamodb:UpdateItem",), registry.releases.table_arn)

    def _substitutions(self) -> dict[str, str]:
        """What fills the placeholders of the definition, by name."""
        settings, network = self.settings.endpoint, self.endpoint.vpc_config or {}
        canary = settings.canary_minutes * MINUTE
        return {
            "Environment": self.settings.env,
            "Workload": self.workload,
            "EndpointName": self.endpoint.name,
            "Prefix": self.prefix,
            "Image": self.endpoint.image_uri_in(cdk.Stack.of(self)),
            "ExecutionRole": self.endpoint.execution_role.role_arn,
            "Instance": settings.instance,
            "Instances": str(settings.instances),
            "Most": str(settings.most),
            "Invocations": str(settings.invocations_per_instance),
            "CanaryPercent": str(settings.canary_percent),
            "CanarySeconds": str(canary),
            "DeploySeconds": str(canary + START_SECONDS),
            "PollSeconds": "1" if self.settings.local else "15",
            "Alarms": ",".join(self.endpoint.alarm_names),
            "VolumeKey": self.endpoint.volume_key,
            "Subnets": ",".join(network.get("Subnets", [NO_NETWORK])),
            "SecurityGroups": ",".join(network.get("SecurityGroupIds", [NO_NETWORK])),
            "ReleasesTable": self.registry.releases.table_name,
        }

    def _let_host(self) -> None:
        """The one endpoint, and models and configurations of its prefix."""
        endpoint = self._arn("sagemaker", f"endpoint/{self.endpoint.name}")
        # A digit each: the names of a workload whose own name goes on where this one's ends are longer.
        configs = self._arn("sagemaker", f"endpoint-config/{self.prefix}-{'?' * DIGITS}")
        models = self._arn("sagemaker", f"model/{self.prefix}-{'?' * DIGITS}")
        self._allow("sagemaker", ("CreateEndpoint", "UpdateEndpoint", "AddTags"), endpoint, configs)
        self._allow("sagemaker", ("DescribeEndpoint", "DeleteEndpoint", "InvokeEndpoint"), endpoint)
        for kind, arn in (("EndpointConfig", configs), ("Model", models)):
            actions = tuple(f"{verb}{kind}" for verb in ("Create", "Describe", "Delete"))
            self._allow("sagemaker", (*actions, "AddTags"), arn)
        # Listing takes no resource; the machine's role acknowledges the finding.
        self._allow("sagemaker", ("ListEndpoints", "ListEndpointConfigs", "ListModels"), "*")

    def _let_pass_on(self) -> None:
        """What SageMaker does in the caller's name: it takes on the role, and makes volumes under the key."""
        access.allow(
            self.role,
            ("iam:PassRole",),
            self.endpoint.execution_role.role_arn,
            StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"},
        )
        access.allow(
            self.role,
            ("kms:CreateGrant",),
            self.endpoint.volume_key,
            Bool={"kms:GrantIsForAWSResource": "true"},
        )
        access.allow(self.role, ("kms:DescribeKey",), self.endpoint.volume_key)
        alarms = (self._arn("cloudwatch", f"alarm:{name}") for name in self.endpoint.alarm_names)
        access.allow(self.role, ("cloudwatch:DescribeAlarms",), *alarms)

    def _let_scale(self) -> None:
        targets = self._arn("application-autoscaling", "scalable-target/*")
        self._allow_scaling(targets)
        acknowledge_resource(
            self.role, targets, "A target's id is random; a condition bounds it to SageMaker's."
        )
        # Scaling asks of its caller what it will do itself.
        tracking = self._arn("cloudwatch", f"alarm:TargetTracking-endpoint/{self.endpoint.name}/variant/*")
        self._allow("cloudwatch", ("PutMetricAlarm", "DescribeAlarms", "DeleteAlarms"), tracking)
        acknowledge_resource(
            self.role, tracking, "Scaling names its alarms; the endpoint's name bounds them."
        )
        endpoint = self._arn("sagemaker", f"endpoint/{self.endpoint.name}")
        self._allow("sagemaker", ("UpdateEndpointWeightsAndCapacities",), endpoint)
        role = f"role/aws-service-role/{SCALING}/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        stack = cdk.Stack.of(self)
        access.allow(
            self.role,
            ("iam:CreateServiceLinkedRole",),
            f"arn:{stack.partition}:iam::{stack.account}:{role}",
            StringEquals={"iam:AWSServiceName": SCALING},
        )

    def _allow_scaling(self, targets: str) -> None:
        actions = ("RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy")
        access.allow(
            self.role,
            tuple(f"application-autoscaling:{action}" for action in actions),
            targets,
            StringEquals={"application-autoscaling:service-namespace": "sagemaker"},
        )

    def let_be_run_by(self, role: iam.Role) -> None:
        """Let the machine of ``role`` run this one as a part of itself."""
        name = self.settings.name(self.workload, "endpoint")
        executions = self._arn("states", f"execution:{name}:*")
        access.allow(role, ("states:StartExecution",), self.machine.state_machine_arn)
        access.allow(role, ("states:DescribeExecution", "states:StopExecution"), executions)
        acknowledge_resource(
            role, executions, "Executions are named as they start; the machine's name bounds them."
        )
        # Step Functions learns of an execution's end through a rule that it manages under this name.
        access.allow(
            role,
            ("events:PutRule", "events:PutTargets", "events:DescribeRule"),
            self._arn("events", "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"),
        )

    def _allow(self, service: str, actions: tuple[str, ...], *resources: str) -> None:
        access.allow(self.role, tuple(f"{service}:{action}" for action in actions), *resources)

    def _arn(self, service: str, resource: str) -> str:
        """ARN of a resource of this account and region."""
        stack = cdk.Stack.of(self)
        return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{resource}"
