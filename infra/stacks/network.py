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

SUBNETS = {"A": "10.0.0.0/24", "B": "10.0.1.0/24"}
"""One in each of two zones."""
CIDR = "10.0.0.0/20"
SERVICES = ("glue", "kms", "logs", "monitoring", "sts")
"""What preprocessing calls: the catalog, keys, logs, metrics and its role's credentials."""
TLS: dict[str, Any] = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443}
ANY_PORT: dict[str, Any] = {"ip_protocol": "tcp", "from_port": 0, "to_port": 65535}
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
        self.vpc = ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=CIDR,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=[cdk.CfnTag(key="Name", value=settings.stack())],
        ).attr_vpc_id
        self._log_flows()
        self.routes = ec2.CfnRouteTable(self, "Routes", vpc_id=self.vpc).attr_route_table_id
        self.subnets = [self._build_subnet(zone, name) for zone, name in enumerate(SUBNETS)]
        self.jobs = self._build_group("Jobs", "Jobs, among themselves and to endpoints of the network")
        self.models = self._build_group("Models", "Models, whom nobody reaches, and who reach S3 alone")
        self._let_hosts_talk()
        self._add_services()
        self.connection = self._build_connection()

    def _zone(self, index: int) -> str:
        """One of the region's zones, as the deploy finds them: synthesis asks nobody."""
        return cdk.Fn.select(index, cdk.Fn.get_azs())

    def _build_subnet(self, zone: int, name: str) -> str:
        """Id of a subnet whose one route leads to S3."""
        subnet = ec2.CfnSubnet(
            self,
            f"Subnet{name}",
            vpc_id=self.vpc,
            cidr_block=SUBNETS[name],
            availability_zone=self._zone(zone),
            map_public_ip_on_launch=False,
            tags=[cdk.CfnTag(key="Name", value=self.settings.stack(name.lower()))],
        ).attr_subnet_id
        ec2.CfnSubnetRouteTableAssociation(
            self, f"Routes{name}", subnet_id=subnet, route_table_id=self.routes
        )
        return subnet

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
            resource_id=self.vpc,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_group_name=group.log_group_name,
            deliver_logs_permission_arn=role.role_arn,
        )

    def _build_group(self, id: str, description: str) -> str:
        """Id of a group that may reach anything over TLS: there is no way but to the network's endpoints."""
        leaving = ec2.CfnSecurityGroup.EgressProperty(
            cidr_ip="0.0.0.0/0", description="Endpoints of the network", **TLS
        )
        group = ec2.CfnSecurityGroup(
            self, id, vpc_id=self.vpc, group_description=description, security_group_egress=[leaving]
        )
        return group.attr_group_id

    def _let_hosts_talk(self) -> None:
        """Hosts of one job talk to each other, on any port; Glue refuses a group that does not allow that."""
        about: dict[str, Any] = {"group_id": self.jobs, "description": "Hosts of one job", **ANY_PORT}
        ec2.CfnSecurityGroupIngress(self, "FromJobs", source_security_group_id=self.jobs, **about)
        ec2.CfnSecurityGroupEgress(self, "ToJobs", destination_security_group_id=self.jobs, **about)

    def _add_services(self) -> None:
        """S3 by a route, which costs nothing; the others by an address in each subnet, for jobs alone."""
        group = ec2.CfnSecurityGroup
        entering = group.IngressProperty(source_security_group_id=self.jobs, description="Jobs", **TLS)
        nowhere = group.EgressProperty(cidr_ip="127.0.0.1/32", description="Nowhere", ip_protocol="-1")
        services = group(
            self,
            "Services",
            vpc_id=self.vpc,
            group_description="Services of AWS",
            security_group_ingress=[entering],
            security_group_egress=[nowhere],
        ).attr_group_id
        self._add_service("s3", vpc_endpoint_type="Gateway", route_table_ids=[self.routes])
        for name in SERVICES:
            self._add_service(
                name,
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.subnets,
                security_group_ids=[services],
            )

    def _add_service(self, name: str, **how: Any) -> None:
        service = f"com.amazonaws.{self.region}.{name}"
        ec2.CfnVPCEndpoint(self, name.title(), vpc_id=self.vpc, service_name=service, **how)

    def _build_connection(self) -> str:
        """Name of the connection that puts Glue's jobs into the network."""
        name, connection = self.settings.stack("network"), glue.CfnConnection
        connection(
            self,
            "Connection",
            catalog_id=self.account,
            connection_input=connection.ConnectionInputProperty(
                name=name,
                description="Puts jobs into the network that is the environment's own",
                connection_type="NETWORK",
                connection_properties={},
                physical_connection_requirements=connection.PhysicalConnectionRequirementsProperty(
                    availability_zone=self._zone(0),
                    subnet_id=self.subnets[0],
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
        vpc = self._arn(role, "ec2", f"vpc/{self.vpc}")
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
