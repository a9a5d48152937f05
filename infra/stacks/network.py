"""A network of the environment's own for jobs and endpoints: two private subnets, and no way to the internet.

What they need of AWS they reach by endpoints of the network. SageMaker's own agents fetch images and write
logs from outside of it; its jobs and containers here are isolated and call nothing. So theirs is the way to
S3 alone, and all the other endpoints are Glue's: its jobs run in the network, and call from there.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs import access
from infra.constructs.acknowledge import acknowledge_resource
from infra.settings import Settings

ZONES = 2
SERVICES = {
    "Glue": ec2.InterfaceVpcEndpointAwsService.GLUE,
    "Kms": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "Monitoring": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING,
    "Sts": ec2.InterfaceVpcEndpointAwsService.STS,
}
"""What preprocessing calls: the catalog, keys, logs, metrics and its role's credentials."""
INTERFACES = (
    "CreateNetworkInterfacePermission",
    "DeleteNetworkInterface",
    "DeleteNetworkInterfacePermission",
)
DESCRIPTIONS = ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
GLUE_DESCRIPTIONS = ("NetworkInterfaces", "RouteTables", "SecurityGroups", "Subnets", "VpcEndpoints")
GLUE_TAG = "aws-glue-service-resource"


class Network(cdk.Stack):
    """Exposes ``subnets`` (their ids), ``jobs`` and ``models`` (security groups' ids) and ``connection``."""

    def __init__(self, scope: Construct, id: str, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings = settings
        self.vpc = self._build_vpc()
        self.subnets = [subnet.subnet_id for subnet in self.vpc.isolated_subnets]
        self._log_flows()
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        jobs = self._build_group("Jobs", "Jobs: among themselves, and to endpoints of the network")
        # Hosts of one job talk to each other, on any port; Glue refuses a group that does not allow that.
        jobs.add_ingress_rule(jobs, ec2.Port.all_tcp(), "Hosts of one job")
        jobs.add_egress_rule(jobs, ec2.Port.all_tcp(), "Hosts of one job")
        models = self._build_group("Models", "Endpoints: nothing comes in, and S3 alone is reached")
        self.jobs, self.models = jobs.security_group_id, models.security_group_id
        self._add_services(jobs)
        self.connection = self._build_connection()

    @property
    def availability_zones(self) -> list[str]:
        """The region's first zones, as the deploy finds them: synthesis asks nobody."""
        return [cdk.Fn.select(index, cdk.Fn.get_azs()) for index in range(ZONES)]

    def _build_vpc(self) -> ec2.Vpc:
        private = ec2.SubnetConfiguration(
            name="Private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
        )
        return ec2.Vpc(
            self,
            "Vpc",
            vpc_name=self.settings.stack(),
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/20"),
            max_azs=ZONES,
            nat_gateways=0,
            create_internet_gateway=False,
            restrict_default_security_group=False,
            subnet_configuration=[private],
        )

    def _log_flows(self) -> None:
        group = logs.LogGroup(self, "Flows", log_group_name=f"/millrace/{self.settings.env}/network")
        role = access.service_role(
            self,
            "FlowsRole",
            "vpc-flow-logs.amazonaws.com",
            description="Writes who talked to whom in the network",
        )
        access.allow_logs(role, group)
        access.allow(role, ("logs:DescribeLogStreams",), group.log_group_arn)
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self.vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_group_name=group.log_group_name,
            deliver_logs_permission_arn=role.role_arn,
        )

    def _build_group(self, id: str, description: str) -> ec2.SecurityGroup:
        """What may be reached over TLS has an endpoint in the network: there is no way to anything else."""
        group = ec2.SecurityGroup(self, id, vpc=self.vpc, description=description, allow_all_outbound=False)
        group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "Endpoints of the network")
        return group

    def _add_services(self, callers: ec2.SecurityGroup) -> None:
        group = ec2.SecurityGroup(
            self, "Services", vpc=self.vpc, description="Services of AWS", allow_all_outbound=False
        )
        group.add_ingress_rule(callers, ec2.Port.tcp(443), "Jobs")
        for name, service in SERVICES.items():
            self.vpc.add_interface_endpoint(name, service=service, security_groups=[group], open=False)

    def _build_connection(self) -> str:
        """Name of the connection that puts Glue's jobs into the network."""
        name, (subnet, *_) = self.settings.stack("network"), self.vpc.isolated_subnets
        connection = glue.CfnConnection
        connection(
            self,
            "Connection",
            catalog_id=self.account,
            connection_input=connection.ConnectionInputProperty(
                name=name,
                description="Puts jobs into the environment's own network",
                connection_type="NETWORK",
                connection_properties={},
                physical_connection_requirements=connection.PhysicalConnectionRequirementsProperty(
                    availability_zone=subnet.availability_zone,
                    subnet_id=subnet.subnet_id,
                    security_group_id_list=[self.jobs],
                ),
            ),
        )
        return name

    def config(self, group: str) -> dict[str, list[str]]:
        """SageMaker's ``VpcConfig`` for a job or a model of the security group ``group`` (its id)."""
        return {"Subnets": self.subnets, "SecurityGroupIds": [group]}

    # ---- what roles need to have hosts in it ----------------------------------------------------

    def let_sagemaker(self, role: iam.Role, group: str) -> None:
        """Let SageMaker attach hosts with ``role`` to the network, in the security group ``group``."""
        self._let_attach(role, group, INTERFACES)
        # These take no resource; allow_metrics acknowledges the finding.
        access.allow(role, tuple(f"ec2:Describe{kind}" for kind in DESCRIPTIONS), "*")

    def let_glue(self, role: iam.Role) -> None:
        """Let Glue attach the hosts of a job with ``role`` to the network, and mark what it has attached."""
        self._let_attach(role, self.jobs, ("DeleteNetworkInterface",))
        access.allow(role, tuple(f"ec2:Describe{kind}" for kind in GLUE_DESCRIPTIONS), "*")
        marks: dict[str, object] = {"aws:TagKeys": [GLUE_TAG]}
        vpc = self._arn(role, "ec2", f"vpc/{self.vpc.vpc_id}")
        access.allow(role, ("ec2:DescribeVpcAttribute",), vpc)
        access.allow(
            role,
            ("ec2:CreateTags", "ec2:DeleteTags"),
            self._arn(role, "ec2", "network-interface/*"),
            **{"ForAllValues:StringEquals": marks},
        )
        connections = (
            self._arn(role, "glue", f"connection/{self.connection}"),
            self._arn(role, "glue", "catalog"),
        )
        access.allow(role, ("glue:GetConnection",), *connections)

    def _let_attach(self, role: iam.Role, group: str, actions: tuple[str, ...]) -> None:
        interfaces = self._arn(role, "ec2", "network-interface/*")
        places = [self._arn(role, "ec2", f"subnet/{subnet}") for subnet in self.subnets]
        places.append(self._arn(role, "ec2", f"security-group/{group}"))
        access.allow(role, ("ec2:CreateNetworkInterface",), interfaces, *places)
        access.allow(role, tuple(f"ec2:{action}" for action in actions), interfaces)
        acknowledge_resource(
            role, interfaces, "Interfaces are numbered as they are made; subnets and group bound where."
        )

    @staticmethod
    def _arn(role: iam.Role, service: str, resource: str) -> str:
        stack = cdk.Stack.of(role)
        return f"arn:{stack.partition}:{service}:{stack.region}:{stack.account}:{resource}"
