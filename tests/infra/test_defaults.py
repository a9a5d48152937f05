"""The secure defaults really reach every resource of their kind."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn

from infra.constructs.defaults import RETENTION, Defaults, key_defaults, secure_defaults
from infra.settings import LOG_DAYS, Settings
from tests.infra.conftest import Template, only, properties, resources


def plain_stack(settings: Settings) -> Template:
    """A stack whose resources say nothing of security themselves."""
    stack = cdk.Stack(cdk.App(analytics_reporting=False), "plain")
    cdk.PropertyInjectors.of(stack).add(key_defaults(settings))
    operations = kms.Key(stack, "Operations")
    received = s3.Bucket(stack, "Received", encryption=s3.BucketEncryption.S3_MANAGED)
    cdk.PropertyInjectors.of(stack).add(*secure_defaults(settings, operations, received))
    s3.Bucket(stack, "Bucket")
    logs.LogGroup(stack, "Log")
    sns.Topic(stack, "Topic")
    sqs.Queue(stack, "Queue")
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    dynamodb.Table(stack, "Table", partition_key=key)
    lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("handler = print"),
    )
    definition = sfn.DefinitionBody.from_string('{"StartAt":"A","States":{"A":{"Type":"Succeed"}}}')
    sfn.StateMachine(stack, "Machine", definition_body=definition)
    return dict(assertions.Template.from_stack(stack).to_json())


@pytest.fixture(scope="module")
def plain() -> Template:
    return plain_stack(Settings(env="dev", log_days=90))


def the(template: Template, kind: str, prefix: str) -> dict[str, Any]:
    (name,) = (name for name in resources(template, kind) if name.startswith(prefix))
    return dict(template["Resources"][name])


def key_of(template: Template) -> dict[str, list[str]]:
    (name,) = (name for name in resources(template, "AWS::KMS::Key") if name.startswith("Operations"))
    return {"Fn::GetAtt": [name, "Arn"]}


def test_a_key_rotates(plain: Template) -> None:
    assert all(key["EnableKeyRotation"] for key in properties(plain, "AWS::KMS::Key"))


def test_a_bucket_is_encrypted_private_versioned_and_logged(plain: Template) -> None:
    bucket = the(plain, "AWS::S3::Bucket", "Bucket")["Properties"]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"
    assert bucket["LoggingConfiguration"]["DestinationBucketName"]["Ref"].startswith("Received")


def test_a_bucket_refuses_plain_http_and_old_tls(plain: Template) -> None:
    policy = the(plain, "AWS::S3::BucketPolicy", "Bucket")["Properties"]["PolicyDocument"]
    denied = [statement["Condition"] for statement in policy["Statement"] if statement["Effect"] == "Deny"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in denied
    assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_a_log_group_is_encrypted_and_ends(plain: Template) -> None:
    group = only(plain, "AWS::Logs::LogGroup")
    assert group["KmsKeyId"] == key_of(plain)
    assert group["RetentionInDays"] == 90


@pytest.mark.parametrize(
    ("kind", "name"), [("AWS::SNS::Topic", "KmsMasterKeyId"), ("AWS::SQS::Queue", "KmsMasterKeyId")]
)
def test_a_topic_and_a_queue_are_encrypted(plain: Template, kind: str, name: str) -> None:
    assert only(plain, kind)[name] == key_of(plain)


@pytest.mark.parametrize("kind", ["AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"])
def test_a_topic_and_a_queue_refuse_plain_http(plain: Template, kind: str) -> None:
    conditions = [item.get("Condition") for item in only(plain, kind)["PolicyDocument"]["Statement"]]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_a_table_is_encrypted_and_can_be_restored(plain: Template) -> None:
    table = only(plain, "AWS::DynamoDB::Table")
    assert table["SSESpecification"]["KMSMasterKeyId"] == key_of(plain)
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]


def test_a_function_logs_json_and_is_traced(plain: Template) -> None:
    function = only(plain, "AWS::Lambda::Function")
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    assert function["TracingConfig"] == {"Mode": "Active"}
    assert function["RecursiveLoop"] == "Terminate"


def test_a_machine_is_traced(plain: Template) -> None:
    assert only(plain, "AWS::StepFunctions::StateMachine")["TracingConfiguration"] == {"Enabled": True}


STATEFUL = ("AWS::S3::Bucket", "AWS::Logs::LogGroup", "AWS::DynamoDB::Table", "AWS::KMS::Key")


@pytest.mark.parametrize("retain", [True, False])
def test_data_outlives_its_stack_only_where_the_environment_keeps_it(retain: bool) -> None:
    template = plain_stack(Settings(env="prod", retain=retain))
    for kind in STATEFUL:
        for name, resource in resources(template, kind).items():
            if not name.startswith("Received"):
                assert resource["DeletionPolicy"] == ("Retain" if retain else "Delete"), name


def test_every_retention_period_that_settings_take_is_one_that_cdk_knows() -> None:
    assert tuple(RETENTION) == LOG_DAYS


def test_what_a_caller_says_comes_first() -> None:
    defaults = Defaults(sqs.Queue, enforceSSL=True, retentionPeriod=1)
    assert defaults.inject({"enforceSSL": False}, scope=cdk.App(), id="x") == {
        "enforceSSL": False,
        "retentionPeriod": 1,
    }
