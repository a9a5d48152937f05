"""Least-privilege statements, written once: what a role may do with objects, keys, logs and assets."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.constructs.acknowledge import acknowledge, acknowledge_resource

READ = ("s3:GetObject",)
WRITE = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
DECRYPT = ("kms:Decrypt", "kms:DescribeKey")
ENCRYPT = (*DECRYPT, "kms:Encrypt", "kms:GenerateDataKey")
"""SageMaker and Glue ask for Encrypt of the roles of jobs that write under a key."""
NAME_THEIR_SOURCE = frozenset({"lambda.amazonaws.com", "sagemaker.amazonaws.com", "states.amazonaws.com"})
"""Services that are known to say for which account they take on a role. Glue is not among them."""


def service_role(scope: Construct, id: str, service: str, *, description: str) -> iam.Role:
    """A role that only ``service`` may take on; on behalf of this account only, where it says for whom."""
    own = {"StringEquals": {"aws:SourceAccount": cdk.Stack.of(scope).account}}
    principal = iam.ServicePrincipal(service, conditions=own if service in NAME_THEIR_SOURCE else None)
    return iam.Role(scope, id, assumed_by=principal, description=description)


def allow(
    role: iam.IRole, actions: tuple[str, ...], *resources: str, **conditions: dict[str, object]
) -> None:
    """Let ``role`` call ``actions`` on ``resources``; ``conditions`` are given as ``StringEquals={...}``."""
    role.add_to_principal_policy(
        iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions or None)
    )


def allow_objects(role: iam.Role, bucket: s3.IBucket, prefix: str, *, write: bool = False) -> None:
    """Let ``role`` read (or also write) the objects under ``prefix/`` and list their names."""
    objects = bucket.arn_for_objects(f"{prefix}/*")
    allow(role, WRITE if write else READ, objects)
    # S3 says that an object is missing (404, not 403) only to who may list, and a request for one object has
    # no prefix: without IfExists, looking for a file of a folder's name would end a Spark job.
    allow(
        role,
        ("s3:ListBucket",),
        bucket.bucket_arn,
        StringLikeIfExists={"s3:prefix": [prefix, f"{prefix}/*"]},
    )
    if bucket.encryption_key:
        allow(role, ENCRYPT if write else DECRYPT, bucket.encryption_key.key_arn)
    acknowledge_resource(
        role, objects, "Objects are named by the run that writes them; the prefix bounds them."
    )


def allow_asset(role: iam.IRole, asset: assets.Asset) -> None:
    """Let ``role`` read one uploaded file: this object and no other of the deployment's bucket."""
    allow(role, READ, asset.bucket.arn_for_objects(asset.s3_object_key))
    allow(
        role,
        ("s3:ListBucket",),
        asset.bucket.bucket_arn,
        StringLike={"s3:prefix": f"{asset.s3_object_key}*"},
    )


def allow_logs(role: iam.Role, group: logs.ILogGroup) -> None:
    """Let ``role`` write log streams of ``group``."""
    allow(role, ("logs:CreateLogStream", "logs:PutLogEvents"), group.log_group_arn)


def allow_metrics(role: iam.Role, *namespaces: str) -> None:
    """Let ``role`` publish metrics, in these namespaces only."""
    allow(role, ("cloudwatch:PutMetricData",), "*", StringEquals={"cloudwatch:namespace": list(namespaces)})
    acknowledge(
        role,
        "IAM5[Resource::*]",
        "A condition bounds metrics by namespace; signing in to a registry takes no resource.",
    )


def allow_key(role: iam.IRole, key: kms.IKey, *actions: str) -> None:
    """Let ``role`` use ``key`` for ``actions`` (default: decrypt and encrypt)."""
    allow(role, actions or ENCRYPT, key.key_arn)
