"""The network of an environment that asks for one: private, watched, and without a way to the internet."""

from __future__ import annotations

import json

import pytest

from infra.stacks.network import SERVICES
from tests.infra.conftest import Synthesis, Template, only, properties, resources, statements


@pytest.fixture(scope="module")
def network(full: Synthesis) -> Template:
    return full.template("network")


def test_given_an_environment_that_does_not_ask_then_there_is_no_network(dev: Synthesis) -> None:
    assert not [name for name in dev.templates() if name.endswith("-network")]
    text = json.dumps(dev.template("flights", "pipeline"))
    assert "VpcConfig" not in text
    assert "CreateNetworkInterface" not in text


def test_given_the_network_then_two_zones_and_no_way_out(network: Template) -> None:
    subnets = properties(network, "AWS::EC2::Subnet")
    zones = [subnet["AvailabilityZone"] for subnet in subnets]
    assert len({json.dumps(zone) for zone in zones}) == len(zones) == 2
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    for kind in ("InternetGateway", "NatGateway", "Route", "EgressOnlyInternetGateway"):
        assert properties(network, f"AWS::EC2::{kind}") == [], kind


def test_given_the_network_then_zones_are_looked_up_by_the_deploy_and_not_by_the_synthesis(
    network: Template,
) -> None:
    assert all(
        "Fn::Select" in subnet["AvailabilityZone"] for subnet in properties(network, "AWS::EC2::Subnet")
    )


def test_given_the_network_then_who_talks_to_whom_is_logged(network: Template) -> None:
    flows = only(network, "AWS::EC2::FlowLog")
    (vpc,) = resources(network, "AWS::EC2::VPC")
    assert flows["ResourceId"] == {"Fn::GetAtt": [vpc, "VpcId"]}
    assert flows["TrafficType"] == "ALL"
    groups = {group["LogGroupName"] for group in properties(network, "AWS::Logs::LogGroup")}
    assert groups == {"/millrace/dev/network"}


def test_given_the_network_then_s3_and_what_glue_calls_are_reached_inside_it(network: Template) -> None:
    endpoints = properties(network, "AWS::EC2::VPCEndpoint")
    gateways = [each for each in endpoints if each["VpcEndpointType"] == "Gateway"]
    assert [".s3" in json.dumps(each["ServiceName"]) for each in gateways] == [True]
    (routes,) = resources(network, "AWS::EC2::RouteTable")
    tables = [each["RouteTableId"] for each in properties(network, "AWS::EC2::SubnetRouteTableAssociation")]
    assert gateways[0]["RouteTableIds"] * 2 == tables == [{"Fn::GetAtt": [routes, "RouteTableId"]}] * 2
    interfaces = [each for each in endpoints if each["VpcEndpointType"] == "Interface"]
    assert len(interfaces) == len(SERVICES)
    for each in interfaces:
        assert each["PrivateDnsEnabled"]
        assert len(each["SubnetIds"]) == 2
        assert "Services" in json.dumps(each["SecurityGroupIds"])


def test_given_security_groups_then_nothing_enters_but_from_jobs(network: Template) -> None:
    groups = resources(network, "AWS::EC2::SecurityGroup")
    assert set(groups) == {"Jobs", "Models", "Services"}
    (entering,) = groups["Services"]["Properties"]["SecurityGroupIngress"]
    assert (entering["FromPort"], entering["ToPort"]) == (443, 443)
    assert entering["SourceSecurityGroupId"] == {"Fn::GetAtt": ["Jobs", "GroupId"]}
    assert not any("SecurityGroupIngress" in groups[name]["Properties"] for name in ("Jobs", "Models"))


def test_given_hosts_of_one_job_then_they_reach_each_other_on_any_port(network: Template) -> None:
    """Glue refuses a group that does not allow it."""
    for kind, other in (("Ingress", "SourceSecurityGroupId"), ("Egress", "DestinationSecurityGroupId")):
        (rule,) = (
            rule
            for rule in properties(network, f"AWS::EC2::SecurityGroup{kind}")
            if rule["GroupId"] == rule.get(other)
        )
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 0, 65535)


def test_given_the_jobs_then_preprocessing_training_and_packaging_run_in_the_network(
    full: Synthesis, network: Template
) -> None:
    pipeline = full.template("flights", "pipeline")
    connection = only(network, "AWS::Glue::Connection")["ConnectionInput"]
    assert connection["ConnectionType"] == "NETWORK"
    assert only(pipeline, "AWS::Glue::Job")["Connections"] == {"Connections": [connection["Name"]]}
    filled = only(pipeline, "AWS::StepFunctions::StateMachine")["DefinitionSubstitutions"]
    assert filled["SubnetA"] != filled["SubnetB"]
    assert "Jobs" in json.dumps(filled["SecurityGroup"])


@pytest.mark.parametrize(
    ("stack", "role", "group"),
    [
        ("pipeline", "TrainingRole", "Jobs"),
        ("pipeline", "PackagingRole", "Jobs"),
        ("pipeline", "PreprocessRole", "Jobs"),
        ("endpoint", "Role", "Models"),
    ],
)
def test_given_a_role_then_its_hosts_are_attached_here_and_in_their_group_alone(
    full: Synthesis, stack: str, role: str, group: str
) -> None:
    (made,) = (
        json.dumps(statement["Resource"])
        for statement in statements(full.template("flights", stack), role)
        if statement["Action"] == "ec2:CreateNetworkInterface"
    )
    assert made.count(":subnet/") == 2
    assert made.count(":security-group/") == 1
    assert f"{group}" in made


def test_given_the_endpoint_then_its_model_is_put_into_the_network(full: Synthesis) -> None:
    endpoint = full.environment.workloads["flights"].endpoint
    assert endpoint is not None
    assert endpoint.vpc_config is not None
    assert {name: len(ids) for name, ids in endpoint.vpc_config.items()} == {
        "Subnets": 2,
        "SecurityGroupIds": 1,
    }
