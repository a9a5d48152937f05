"""The environment's encryption keys, and which services may use them for what."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.settings import Settings


class Keys(Construct):
    """One key each for data, models and operations (logs, topics, queues, tables)."""

    def __init__(self, scope: Construct, id: str, settings: Settings) -> None:
        super().__init__(scope, id)
        self.settings = settings
        self.data = self._key("Data", "data", "Raw, cleaned and feature tables")
        self.models = self._key("Models", "models", "Checkpoints, model archives and bundles")
        self.operations = self._key("Operations", "operations", "Logs, topics, queues and tables")
        self._let_logs(self.operations)
        self._let_service("cloudwatch.amazonaws.com", "AlarmsReachTheTopic")
        self._let_service("events.amazonaws.com", "EventsReachTopicsAndQueues")
        self._let_service("sns.amazonaws.com", "TopicsReachQueues")

    def _key(self, id: str, name: str, description: str) -> kms.Key:
        return kms.Key(
            self,
            id,
            alias=f"millrace/{self.settings.env}/{name}",
            description=f"{description} of millrace, environment {self.settings.env}",
        )

    def _log_groups(self) -> list[str]:
        """Names of the log groups that the operations key encrypts, as ARN patterns."""
        return [
            self._log_arn(f"/millrace/{self.settings.env}/*"),
            self._log_arn(f"/aws/vendedlogs/states/millrace-{self.settings.env}-*"),
            self._log_arn("API-Gateway-Execution-Logs_*"),
            self._log_arn(f"/aws/sagemaker/Endpoints/millrace-{self.settings.env}-*"),
        ]

    def _log_arn(self, pattern: str) -> str:
        stack = cdk.Stack.of(self)
        return f"arn:{stack.partition}:logs:{stack.region}:{stack.account}:log-group:{pattern}"

    def _let_logs(self, key: kms.Key) -> None:
        self._permit(
            key,
            "LogsEncryptOwnGroups",
            f"logs.{cdk.Stack.of(self).region}.amazonaws.com",
            [
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:ReEncryptFrom",
                "kms:ReEncryptTo",
                *GENERATE,
                "kms:DescribeKey",
            ],
            {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": self._log_groups()}},
        )

    def _let_service(self, service: str, sid: str) -> None:
        account = cdk.Stack.of(self).account
        self._permit(
            self.operations,
            sid,
            service,
            ["kms:Decrypt", *GENERATE],
            {"StringEquals": {"aws:SourceAccount": account}},
        )

    @staticmethod
    def _permit(key: kms.Key, sid: str, service: str, actions: list[str], conditions: dict[str, Any]) -> None:
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                principals=[iam.ServicePrincipal(service)],
                actions=actions,
                # In a key's own policy "*" means this key.
                resources=["*"],
                conditions=conditions,
            )
        )


GENERATE = ("kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext")
