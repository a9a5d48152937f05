"""What an environment's workloads share: keys, buckets, the alarm topic, and who may call the APIs."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.constructs.callers import Callers
from infra.constructs.defaults import key_defaults, removal, secure_defaults
from infra.constructs.keys import Keys
from infra.settings import Settings

NONCURRENT_DAYS = 30
"""How long an overwritten or deleted object can still be brought back."""


class Foundation(cdk.Stack):
    """Exposes ``lake``, ``models``, ``keys``, ``topic``, ``user_pool``, ``client``, ``scope``, ``token_url``.

    ``defaults`` are the secure defaults that every other stack of the environment takes as its
    ``property_injectors``.
    """

    def __init__(self, scope: Construct, id: str, settings: Settings, **kwargs: Any) -> None:
        super().__init__(scope, id, property_injectors=[key_defaults(settings)], **kwargs)
        self.settings = settings
        self.keys = Keys(self, "Keys", settings)
        self.access_logs = self._build_access_logs()
        self.defaults = secure_defaults(settings, self.keys.operations, self.access_logs)
        cdk.PropertyInjectors.of(self).add(*self.defaults)
        self.lake = self._build_bucket("Lake")
        self.models = self._build_bucket("Models")
        self.topic = self._build_topic()
        callers = Callers(self, "Callers", settings)
        self.user_pool, self.client = callers.user_pool, callers.client
        self.scope, self.token_url = callers.scope, callers.token_url
        self._add_outputs()

    def _build_access_logs(self) -> s3.Bucket:
        return s3.Bucket(
            self,
            "AccessLogs",
            # S3 delivers access logs only to a bucket encrypted with S3's own keys.
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            removal_policy=removal(self.settings),
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=cdk.Duration.days(self.settings.log_days),
                    noncurrent_version_expiration=cdk.Duration.days(1),
                )
            ],
        )

    def _build_bucket(self, id: str) -> s3.Bucket:
        return s3.Bucket(
            self,
            id,
            encryption_key=self.keys.data if id == "Lake" else self.keys.models,
            server_access_logs_prefix=f"{id.lower()}/",
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=cdk.Duration.days(NONCURRENT_DAYS),
                    abort_incomplete_multipart_upload_after=cdk.Duration.days(1),
                )
            ],
        )

    def _build_topic(self) -> sns.Topic:
        topic = sns.Topic(self, "Topic", topic_name=self.settings.stack("operations"))
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com"):
            topic.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=f"Own{service.partition('.')[0].title()}",
                    principals=[iam.ServicePrincipal(service)],
                    actions=["sns:Publish"],
                    resources=[topic.topic_arn],
                    conditions={"StringEquals": {"aws:SourceAccount": self.account}},
                )
            )
        if self.settings.alarms.email:
            topic.add_subscription(subscriptions.EmailSubscription(self.settings.alarms.email))
        return topic

    def _add_outputs(self) -> None:
        for key, value in {
            "LakeBucket": self.lake.bucket_name,
            "ModelsBucket": self.models.bucket_name,
            "UserPoolId": self.user_pool.user_pool_id,
            "ClientId": self.client.user_pool_client_id,
            "TokenUrl": self.token_url,
            "Scope": self.scope,
            "TopicArn": self.topic.topic_arn,
        }.items():
            cdk.CfnOutput(self, key, value=value)
