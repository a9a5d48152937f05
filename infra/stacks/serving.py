"""The predict function, and its APIs where callers are to reach it.

Two hands write here, and never the same thing. CloudFormation owns the function's code and settings, and
makes the alias ``live`` once, on a version without a model. The release owns what the alias points to.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra import bytecode, kernel
from infra.constructs.api import ANYTHING, INFERENCE, INFERENCE_ROUTES, PROTOCOL, Api
from infra.constructs.function import Function
from infra.settings import Settings
from infra.stacks.foundation import Foundation
from infra.stacks.registry import Registry

ALIAS = "live"


class Serving(cdk.Stack):
    """Exposes ``function``, ``bootstrap``, ``alias`` and ``code_hash``.

    Where a SageMaker endpoint alone answers callers, there is no API here. The function stays: idle it costs
    nothing, and a release asks it for a bundle's own examples before it touches any host.

    ``code_hash`` changes with everything that makes the function answer differently but the model:
    its code, runtime, memory and environment.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        foundation: Foundation,
        registry: Registry,
        code: lambda_.Code,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.function = self._build_function(code, registry.layer_parameter_name)
        self._tell_what_is_not_compiled()
        self.code_hash = self._hash_function()
        self.bootstrap = self._build_bootstrap()
        self.alias = self._build_alias()
        if settings.function_answers:
            self._build_apis(foundation)
        cdk.CfnOutput(self, "FunctionName", value=self.function.function_name)

    def _build_function(self, code: lambda_.Code, layer_parameter: str) -> lambda_.Function:
        serving = self.settings.serving
        # Read when the stack is deployed, so that a deploy keeps the model that was released last.
        layer = ssm.StringParameter.value_for_string_parameter(self, layer_parameter)
        return Function(
            self,
            "Predict",
            self.settings,
            name=self.settings.name(self.workload, "predict"),
            log_group_name=self.settings.logs(self.workload, "predict"),
            handler="predict.app.handler",
            code=code,
            description=f"Predictions of the workload {self.workload}",
            timeout_seconds=serving.timeout_seconds,
            memory_mb=serving.memory_mb,
            environment={"MILLRACE_ENVIRONMENT": self.settings.env, "MILLRACE_WORKLOAD": self.workload},
            layers=[lambda_.LayerVersion.from_layer_version_arn(self, "Bundle", layer)],
            snap_start=serving.snap_start,
        ).function

    def _tell_what_is_not_compiled(self) -> None:
        """A line of every synthesis and deploy, where the function will be slow for want of a compiler."""
        python, annotations = self.settings.serving.python, cdk.Annotations.of(self.function)
        if (compiler := bytecode.find(python)) is None:
            annotations.add_info_v2("millrace:bytecode", bytecode.note(python, compiler))
        if kernel.find() is None:
            annotations.add_info_v2("millrace:kernel", kernel.note(None))

    def _build_apis(self, foundation: Foundation) -> None:
        """Two ways to the alias: what is binary is said of an API as a whole."""
        own = Api(
            self,
            "Http",
            self.settings,
            self.workload,
            function_arn=self.alias.ref,
            user_pool=foundation.user_pool,
            oauth_scope=foundation.scope,
        )
        inference = Api(
            self,
            "Inference",
            self.settings,
            self.workload,
            function_arn=self.alias.ref,
            user_pool=foundation.user_pool,
            oauth_scope=foundation.scope,
            part=INFERENCE,
            routes=INFERENCE_ROUTES,
            binary_media_types=ANYTHING,
            errors=PROTOCOL,
        )
        cdk.CfnOutput(self, "ApiUrl", value=own.url)
        cdk.CfnOutput(self, "InferenceUrl", value=inference.url)

    def _hash_function(self) -> str:
        function = self._resource()
        parts = [
            function.code,
            function.runtime,
            function.handler,
            function.architectures,
            function.memory_size,
            function.timeout,
            function.environment,
            function.snap_start,
        ]
        text = json.dumps(self.resolve(parts), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _resource(self) -> lambda_.CfnFunction:
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        return resource

    def _build_bootstrap(self) -> lambda_.CfnVersion:
        """The version that answers 503 until the first release. A change here would make a second one."""
        version = lambda_.CfnVersion(
            self,
            "Bootstrap",
            function_name=self.function.function_name,
            description="Before the first release",
        )
        version.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
        return version

    def _build_alias(self) -> lambda_.CfnAlias:
        return lambda_.CfnAlias(
            self,
            "Live",
            name=ALIAS,
            function_name=self.function.function_name,
            function_version=self.bootstrap.attr_version,
            description="What callers meet; moved by the release",
        )
