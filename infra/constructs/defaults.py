"""Secure defaults, set once for every resource of a kind.

A property injector fills in what a construct's caller leaves out. Its identity is read from the
class it serves, because CDK ignores an injector whose identity fits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.settings import Settings


@jsii.implements(cdk.IPropertyInjector)
class Defaults:
    """Defaults (in CDK's own camelCase) of one kind of construct; what a caller says comes first."""

    def __init__(self, kind: Any, **defaults: object) -> None:
        self.kind, self.defaults = kind, defaults

    @property
    def construct_unique_id(self) -> str:
        """Identity of the class whose properties are filled in."""
        return str(self.kind.PROPERTY_INJECTION_ID)

    def inject(
        self,
        original_props: Mapping[str, object] | None,
        *,
        scope: Construct,  # noqa: ARG002
        id: str,  # noqa: ARG002
    ) -> dict[str, object]:
        """The caller's properties over the defaults."""
        return {**self.defaults, **dict(original_props or {})}


def removal(settings: Settings) -> cdk.RemovalPolicy:
    """What becomes of data when its stack is deleted."""
    return cdk.RemovalPolicy.RETAIN if settings.retain else cdk.RemovalPolicy.DESTROY


def key_defaults(settings: Settings) -> Defaults:
    """Keys rotate every year, and wait a week before they are gone."""
    return Defaults(
        kms.Key,
        enableKeyRotation=True,
        pendingWindow=cdk.Duration.days(7),
        removalPolicy=removal(settings),
    )


def secure_defaults(settings: Settings, operations: kms.IKey, access_logs: s3.IBucket) -> list[Defaults]:
    """Defaults for every bucket, log group, topic, queue, table, function and state machine."""
    keep = removal(settings)
    return [
        Defaults(
            s3.Bucket,
            encryption=s3.BucketEncryption.KMS,
            bucketKeyEnabled=True,
            enforceSSL=True,
            minimumTLSVersion=1.2,
            blockPublicAccess=s3.BlockPublicAccess.BLOCK_ALL,
            objectOwnership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            serverAccessLogsBucket=access_logs,
            removalPolicy=keep,
        ),
        Defaults(logs.LogGroup, encryptionKey=operations, retention=_retention(settings), removalPolicy=keep),
        Defaults(sns.Topic, masterKey=operations, enforceSSL=True),
        Defaults(
            sqs.Queue,
            encryption=sqs.QueueEncryption.KMS,
            encryptionMasterKey=operations,
            enforceSSL=True,
            retentionPeriod=cdk.Duration.days(14),
        ),
        Defaults(
            dynamodb.Table,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryptionKey=operations,
            billingMode=dynamodb.BillingMode.PAY_PER_REQUEST,
            pointInTimeRecoverySpecification={"pointInTimeRecoveryEnabled": True},
            deletionProtection=settings.retain,
            removalPolicy=keep,
        ),
        Defaults(
            lambda_.Function,
            loggingFormat=lambda_.LoggingFormat.JSON,
            # Sampled by the API's stage, so that only one request a second and 5 % of the rest are paid for.
            tracing=lambda_.Tracing.ACTIVE,
            recursiveLoop=lambda_.RecursiveLoop.TERMINATE,
        ),
        Defaults(sfn.StateMachine, tracingEnabled=True, removalPolicy=cdk.RemovalPolicy.DESTROY),
    ]


def _retention(settings: Settings) -> logs.RetentionDays:
    """The member of CDK's enumeration that stands for ``settings.log_days``."""
    return RETENTION[settings.log_days]


RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    400: logs.RetentionDays.THIRTEEN_MONTHS,
    545: logs.RetentionDays.EIGHTEEN_MONTHS,
    731: logs.RetentionDays.TWO_YEARS,
    1096: logs.RetentionDays.THREE_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    2192: logs.RetentionDays.SIX_YEARS,
    2557: logs.RetentionDays.SEVEN_YEARS,
    2922: logs.RetentionDays.EIGHT_YEARS,
    3288: logs.RetentionDays.NINE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
