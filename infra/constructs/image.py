"""A container image that is built while its stack deploys, by CodeBuild: nobody who deploys needs Docker.

Its tag is the digest of what it is built from, and the registry takes a tag once: the same code is never
built twice, and a tag never changes what it means. Whoever runs it names it by the image's own digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.constructs import access
from infra.constructs.acknowledge import acknowledge
from infra.constructs.defaults import removal
from infra.constructs.function import Function
from infra.settings import Settings

BUILDER = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
"""AWS's own arm64 image with Docker: what is built on it needs no emulated processor."""
KEPT = 20
"""Images that stay. A release comes after each new one, so that the one in service is among the last."""
BUILD_MINUTES = 14
"""The function that waits may run for 15."""
PUSH = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:CompleteLayerUpload",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
STEPS = {
    "version": 0.2,
    "phases": {
        "pre_build": {
            "commands": [
                "aws ecr get-login-password | docker login --username AWS --password-stdin $REGISTRY",
            ]
        },
        "build": {
            "commands": [
                # SageMaker takes an image, and no index of images with attestations.
                'image="$REGISTRY/$REPOSITORY:$TAG"',
                'docker buildx build --provenance=false --load --file server/Dockerfile --tag "$image" .',
                'docker push "$image"',
            ]
        },
    },
}


class BuiltImage(Construct):
    """Exposes ``repository`` and ``uri``, which names the image by its digest."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        *,
        name: str,
        source: Path,
        key: kms.IKey,
        function_code: Callable[[str, Settings], lambda_.Code],
    ) -> None:
        super().__init__(scope, id)
        self.settings, self.name, self.key = settings, name, key
        self.repository = self._build_repository()
        self.project = self._build_project(assets.Asset(self, "Source", path=str(source)))
        builder = self._build_builder(function_code)
        image = cdk.CustomResource(
            self,
            "Image",
            resource_type="Custom::MillraceImage",
            service_token=builder.function.function_arn,
            service_timeout=cdk.Duration.minutes(BUILD_MINUTES + 2),
            properties={
                "Project": self.project.ref,
                "Repository": self.repository.repository_name,
                "Tag": source.name,
            },
        )
        # Both may do their work once their policies are there.
        image.node.add_dependency(builder.role, self.role)
        self.uri = f"{self.repository.repository_uri}@{image.get_att_string('Digest')}"

    def _build_repository(self) -> ecr.Repository:
        return ecr.Repository(
            self,
            "Repository",
            repository_name=self.name,
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.KMS,
            encryption_key=self.key,
            lifecycle_rules=[ecr.LifecycleRule(description=f"Keep the last {KEPT}", max_image_count=KEPT)],
            removal_policy=removal(self.settings),
            empty_on_delete=not self.settings.retain,
        )

    def _build_project(self, source: assets.Asset) -> codebuild.CfnProject:
        log = logs.LogGroup(self, "Log", log_group_name=f"/millrace/{self.settings.env}/image")
        self.role = self._build_role(source, log)
        registry = cdk.Fn.select(0, cdk.Fn.split("/", self.repository.repository_uri))
        variables = {"REGISTRY": registry, "REPOSITORY": self.name}
        project = codebuild.CfnProject
        return project(
            self,
            "Project",
            name=self.name,
            description="Builds the image of the prediction server",
            service_role=self.role.role_arn,
            encryption_key=self.key.key_arn,
            timeout_in_minutes=BUILD_MINUTES - 2,
            queued_timeout_in_minutes=5,
            artifacts=project.ArtifactsProperty(type="NO_ARTIFACTS"),
            source=project.SourceProperty(
                type="S3",
                location=f"{source.s3_bucket_name}/{source.s3_object_key}",
                build_spec=json.dumps(STEPS),
            ),
            environment=project.EnvironmentProperty(
                type="ARM_CONTAINER",
                compute_type="BUILD_GENERAL1_SMALL",
                image=BUILDER,
                privileged_mode=True,
                environment_variables=[
                    project.EnvironmentVariableProperty(name=name, value=value)
                    for name, value in variables.items()
                ],
            ),
            logs_config=project.LogsConfigProperty(
                cloud_watch_logs=project.CloudWatchLogsConfigProperty(
                    status="ENABLED", group_name=log.log_group_name
                )
            ),
        )

    def _build_role(self, source: assets.Asset, log: logs.ILogGroup) -> iam.Role:
        """The build reads its source, writes its log, and pushes into this repository."""
        role = access.service_role(
            self, "Role", "codebuild.amazonaws.com", description="What the build of the image may do"
        )
        access.allow_asset(role, source)
        access.allow_logs(role, log)
        access.allow(role, PUSH, self.repository.repository_arn)
        access.allow_key(role, self.key)
        access.allow(role, ("ecr:GetAuthorizationToken",), "*")
        acknowledge(role, "IAM5[Resource::*]", "Signing in to a registry takes no resource.")
        return role

    def _build_builder(self, function_code: Callable[[str, Settings], lambda_.Code]) -> Function:
        builder = Function(
            self,
            "Builder",
            self.settings,
            name=self.settings.stack("make-image"),
            log_group_name=f"/millrace/{self.settings.env}/make-image",
            handler="make_image.app.handler",
            code=function_code("make_image", self.settings),
            description="Has the server's image built while its stack deploys",
            timeout_seconds=15 * 60,
            memory_mb=256,
            environment={},
        )
        access.allow(builder.role, ("ecr:DescribeImages",), self.repository.repository_arn)
        access.allow(
            builder.role, ("codebuild:StartBuild", "codebuild:BatchGetBuilds"), self.project.attr_arn
        )
        return builder
