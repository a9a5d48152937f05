"""The image of the prediction server, one for all workloads of an environment.

Its name, digest and all, lies in an SSM parameter, not in an export of this stack: CloudFormation refuses to
change what another stack imports, and every change of the server's code changes the digest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra import code
from infra.constructs.image import BuiltImage
from infra.settings import Settings
from infra.stacks.foundation import Foundation

NOT_BUILT = "not-built-on-the-laptop"
"""The tag where no image is built: the emulator runs the server's code as a process of this machine."""


class Image(cdk.Stack):
    """Exposes ``parameter_name`` (of the image's URI), ``repository_name`` and ``source_hash``."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        *,
        foundation: Foundation,
        function_code: Callable[[str, Settings], lambda_.Code],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings = settings
        self.repository_name = settings.stack("server")
        self.parameter_name = f"/millrace/{settings.env}/image"
        source = code.server_code()
        self.source_hash = source.name
        if settings.local:
            # The source is told all the same: other code makes another endpoint of the same model.
            uri = f"{self.repository_name}:{NOT_BUILT}-{self.source_hash[:16]}"
            about = "No image is built on the laptop: the emulator runs the server as a process"
        else:
            key = foundation.keys.operations
            uri = BuiltImage(
                self,
                "Server",
                settings,
                name=self.repository_name,
                source=source,
                key=key,
                function_code=function_code,
            ).uri
            about = "Image of the prediction server, by its digest; written by the deploy"
        ssm.StringParameter(
            self, "Uri", parameter_name=self.parameter_name, description=about, string_value=uri
        )
        cdk.CfnOutput(self, "ImageUri", value=uri)

    def uri_in(self, stack: Construct) -> str:
        """The image's URI as it is when ``stack`` is deployed, which must be after this one."""
        return ssm.StringParameter.value_for_string_parameter(stack, self.parameter_name)
