"""What remembers a workload's models: packages with their approval, and which of them is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.settings import Settings

EMPTY_BUNDLE = Path(__file__).parents[1] / "constructs" / "empty_bundle"
"""The layer before the first release. Its bytes must never change: a deployed parameter names it, and a
new layer would make CloudFormation write that parameter again, over the released model's."""


class Registry(cdk.Stack):
    """Exposes ``layer_parameter_name``, ``champion_parameter_name``, ``releases`` and ``group``.

    The two parameters are seeded here and written by the release from then on.
    """

    def __init__(self, scope: Construct, id: str, settings: Settings, workload: str, **kwargs: Any) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.layer_parameter_name = settings.parameter(workload, "layer")
        self.champion_parameter_name = settings.parameter(workload, "champion")
        self.group = self._build_group()
        self.releases = self._build_releases()
        self._seed_layer()
        self._seed_champion()

    def _build_group(self) -> sagemaker.CfnModelPackageGroup:
        group = sagemaker.CfnModelPackageGroup(
            self,
            "Group",
            model_package_group_name=self.settings.name(self.workload),
            model_package_group_description=f"Models of the workload {self.workload}",
        )
        if self.settings.retain:
            group.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        return group

    def _build_releases(self) -> dynamodb.Table:
        """The lock that lets one release run at a time."""
        return dynamodb.Table(
            self,
            "Releases",
            table_name=self.settings.name(self.workload, "releases"),
            partition_key=dynamodb.Attribute(name="workload", type=dynamodb.AttributeType.STRING),
        )

    def _seed_layer(self) -> None:
        layer = lambda_.LayerVersion(
            self,
            "EmptyBundle",
            code=lambda_.Code.from_asset(str(EMPTY_BUNDLE)),
            description="No model yet",
        )
        ssm.StringParameter(
            self,
            "Layer",
            parameter_name=self.layer_parameter_name,
            description="ARN of the layer that holds the released bundle; written by the release",
            string_value=layer.layer_version_arn,
        )

    def _seed_champion(self) -> None:
        ssm.StringParameter(
            self,
            "Champion",
            parameter_name=self.champion_parameter_name,
            description="The released model package; written by the release",
            string_value="{}",
        )
