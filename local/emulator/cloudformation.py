"""CloudFormation resource types that MiniStack lacks, each made of the service's own API calls."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError
from ministack.services.cloudformation import provisioners, stacks

from local.emulator import gateway
from local.hooks import expect, replace

log = logging.getLogger("millrace.cloudformation")

Properties = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource type: the operations that make, change and remove it, and what its Ref is."""

    type: str
    service: str
    create: str
    delete: str
    name: str
    """The property that names the resource; made up if a template leaves it out."""
    delete_by: str = ""
    """How ``delete`` calls the name, if differently."""
    ref: str = ""
    """The member of the answer to ``create`` that is the Ref; the name if empty."""

    def handler(self) -> dict[str, Callable[..., Any]]:
        """What MiniStack's provisioner calls."""
        return {"create": self._create, "delete": self._delete}

    def _create(self, logical_id: str, properties: Properties, stack: str) -> tuple[str, Properties]:
        digest = hashlib.sha256(f"{stack}/{logical_id}".encode()).hexdigest()[:8]
        named = {self.name: f"{stack}-{logical_id}-{digest}", **properties}
        try:
            answer = _call(self.service, self.create, named)
        except ClientError as error:
            raise ValueError(f"{self.type} {logical_id}: {error}") from error
        texts = {key: value for key, value in answer.items() if isinstance(value, str)}
        return answer.get(self.ref, named[self.name]), {**texts, self.name: named[self.name]}

    def _delete(self, physical_id: str, properties: Properties) -> None:
        name = properties.get(self.name) or physical_id.rsplit("/", 1)[-1]
        try:
            _call(self.service, self.delete, {self.delete_by or self.name: name})
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in {"EntityNotFoundException", "ResourceNotFound", "ValidationException"}:
                raise ValueError(f"{self.type} {physical_id}: {error}") from error


RESOURCES = (
    Resource(
        type="AWS::SageMaker::ModelPackageGroup",
        service="sagemaker",
        create="CreateModelPackageGroup",
        delete="DeleteModelPackageGroup",
        name="ModelPackageGroupName",
        ref="ModelPackageGroupArn",
    ),
    Resource(
        type="AWS::Glue::SecurityConfiguration",
        service="glue",
        create="CreateSecurityConfiguration",
        delete="DeleteSecurityConfiguration",
        name="Name",
    ),
)


def install() -> None:
    """Add the types. Their handlers call the gateway, so they must not run on its event loop."""
    handlers = expect(provisioners, "_RESOURCE_HANDLERS")
    own = {resource.type for resource in RESOURCES}
    handlers.update({resource.type: resource.handler() for resource in RESOURCES})
    replace(
        stacks,
        "_runs_on_worker_thread",
        ("resource_type",),
        lambda original: lambda resource_type: resource_type in own or original(resource_type),
    )


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def _call(service: str, operation: str, properties: Properties) -> Properties:
    shape = _model(service).operation_model(operation).input_shape
    answer: Properties = getattr(gateway.client(service), xform_name(operation))(
        **_members(shape, properties)
    )
    return answer


def _value(shape: Any, value: Any) -> Any:
    """A template's value as the API takes it: members matched whatever their case, texts made numbers."""
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            return _members(shape, value)
        case "list" if isinstance(value, list):
            return [_value(shape.member, item) for item in value]
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            return str(value).lower() == "true"
    return value


def _members(shape: Any, properties: Properties) -> Properties:
    known = {name.lower(): name for name in shape.members}
    spelled = {known.get(name.lower(), ""): value for name, value in properties.items() if value is not None}
    dropped = [name for name in properties if name.lower() not in known]
    if dropped:
        log.info("not part of the API, so left out: %s", ", ".join(dropped))
    return {name: _value(shape.members[name], value) for name, value in spelled.items() if name}
