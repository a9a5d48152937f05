"""An environment's stacks, in the order of the way the data goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.settings import Settings
from infra.stacks.endpoint import Endpoint
from infra.stacks.foundation import Foundation
from infra.stacks.image import Image
from infra.stacks.monitoring import Monitoring
from infra.stacks.network import Network
from infra.stacks.pipeline import Pipeline
from infra.stacks.registry import Registry
from infra.stacks.release import Release
from infra.stacks.serving import Serving

FunctionCode = Callable[[str, Settings], lambda_.Code]
"""Code of the function in ``functions/<name>``, built for the environment's runtime."""


@dataclass(frozen=True, kw_only=True)
class WorkloadStacks:
    """The stacks of one workload."""

    registry: Registry
    pipeline: Pipeline
    serving: Serving
    endpoint: Endpoint | None
    """None where no SageMaker endpoint answers."""
    release: Release
    monitoring: Monitoring


class Environment:
    """Makes every stack of the environment that ``settings`` describe."""

    def __init__(self, app: Construct, settings: Settings, function_code: FunctionCode) -> None:
        self.app, self.settings, self.function_code = app, settings, function_code
        self.foundation = Foundation(app, settings.stack("foundation"), settings, **self._stack())
        self.network = self._build_network() if settings.network.vpc else None
        self.image = self._build_image() if settings.has_endpoint else None
        self.workloads = {name: self._build_workload(name) for name in settings.workloads}

    def _build_network(self) -> Network:
        network = Network(
            self.app,
            self.settings.stack("network"),
            self.settings,
            property_injectors=self.foundation.defaults,
            **self._stack(),
        )
        network.add_stack_dependency(self.foundation)
        return network

    def _build_image(self) -> Image:
        image = Image(
            self.app,
            self.settings.stack("image"),
            self.settings,
            foundation=self.foundation,
            function_code=self.function_code,
            property_injectors=self.foundation.defaults,
            **self._stack(),
        )
        image.add_stack_dependency(self.foundation)
        return image

    def _build_workload(self, workload: str) -> WorkloadStacks:
        settings, foundation = self.settings, self.foundation
        code = self.function_code("predict", settings)
        common = {
            **self._stack(workload),
            "settings": settings,
            "workload": workload,
            "property_injectors": foundation.defaults,
        }
        stack = partial(settings.name, workload)
        registry = Registry(self.app, stack("registry"), **common)
        common["foundation"] = foundation
        monitoring = Monitoring(self.app, stack("monitoring"), **common)
        common["registry"] = registry
        pipeline = Pipeline(self.app, stack("pipeline"), network=self.network, **common)
        serving = Serving(self.app, stack("serving"), code=code, **common)
        endpoint = self._build_endpoint(stack("endpoint"), common)
        release = Release(
            self.app,
            stack("release"),
            serving=serving,
            endpoint=endpoint,
            function_code=self.function_code,
            **common,
        )
        for later in (registry, pipeline, serving, release, monitoring):
            later.add_stack_dependency(foundation)
        # What the registry seeds, they read by its name, which CDK cannot see.
        for reader in (pipeline, serving, release):
            reader.add_stack_dependency(registry)
        # Likewise the ids of their APIs.
        for made in filter(None, (serving, endpoint)):
            release.add_stack_dependency(made)
        return WorkloadStacks(
            registry=registry,
            pipeline=pipeline,
            serving=serving,
            endpoint=endpoint,
            release=release,
            monitoring=monitoring,
        )

    def _build_endpoint(self, name: str, common: dict[str, Any]) -> Endpoint | None:
        if self.image is None:
            return None
        known = {key: value for key, value in common.items() if key != "registry"}
        endpoint = Endpoint(
            self.app,
            name,
            image=self.image,
            network=self.network,
            function_code=self.function_code,
            **known,
        )
        # Of the image it knows the name alone, which CDK cannot see.
        endpoint.add_stack_dependency(self.image)
        return endpoint

    def _stack(self, workload: str | None = None) -> dict[str, Any]:
        """What every stack is told."""
        return {
            "env": cdk.Environment(account=self.settings.account, region=self.settings.region),
            "tags": self.settings.tags(workload),
            "analytics_reporting": False,
            "termination_protection": self.settings.retain,
        }
