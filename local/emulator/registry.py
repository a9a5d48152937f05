"""SageMaker's model registry: groups, versioned packages, and the event of every change of approval.

moto has a registry too; it forgets a package's metadata on every update, cannot delete, gives a
deleted version's number again, and sends no events.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from local.emulator import eventbridge, gateway
from local.emulator.moto_proxy import Operation, ServiceError

Record = dict[str, Any]

_groups: dict[str, Record] = {}
_packages: dict[str, Record] = {}
_lock = threading.Lock()


def operations() -> dict[str, Operation]:
    """The registry's operations by name."""
    return {
        "CreateModelPackageGroup": create_group,
        "DescribeModelPackageGroup": lambda data: _public(_group(data["ModelPackageGroupName"])),
        "DeleteModelPackageGroup": delete_group,
        "ListModelPackageGroups": lambda data: {"ModelPackageGroupSummaryList": _list(_groups, data)},
        "CreateModelPackage": create_package,
        "DescribeModelPackage": lambda data: _package(data["ModelPackageName"]),
        "UpdateModelPackage": update_package,
        "DeleteModelPackage": delete_package,
        "ListModelPackages": list_packages,
    }


def state() -> Record:
    """Everything the registry holds, as JSON."""
    return {"groups": _groups, "packages": _packages}


def restore(saved: Record) -> None:
    """Take over what ``state`` returned; an empty dictionary empties the registry."""
    for store, name in ((_groups, "groups"), (_packages, "packages")):
        store.clear()
        store.update(saved.get(name, {}))


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{gateway.REGION}:{gateway.ACCOUNT}:{kind}/{name}"


def _public(group: Record) -> Record:
    return {key: value for key, value in group.items() if not key.startswith("_")}


def _group(reference: str) -> Record:
    name = reference.rsplit("/", 1)[-1]
    if name not in _groups:
        raise ServiceError("ValidationException", f"ModelPackageGroup {name} does not exist.")
    return _groups[name]


def _package(reference: str) -> Record:
    if reference not in _packages:
        raise ServiceError("ValidationException", f"ModelPackage {reference} does not exist.")
    return _packages[reference]


def create_group(data: Record) -> Record:
    """CreateModelPackageGroup."""
    name = data["ModelPackageGroupName"]
    with _lock:
        if name in _groups:
            raise ServiceError("ValidationException", f"Model Package Group already exists: {name}")
        _groups[name] = {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": _arn("model-package-group", name),
            "ModelPackageGroupDescription": data.get("ModelPackageGroupDescription", ""),
            "ModelPackageGroupStatus": "Completed",
            "CreationTime": time.time(),
            "CreatedBy": {},
            "_versions": 0,
        }
    return {"ModelPackageGroupArn": _groups[name]["ModelPackageGroupArn"]}


def delete_group(data: Record) -> Record:
    """DeleteModelPackageGroup: refused while it holds packages."""
    group = _group(data["ModelPackageGroupName"])
    name = group["ModelPackageGroupName"]
    if any(package.get("ModelPackageGroupName") == name for package in _packages.values()):
        raise ServiceError(
            "ConflictException", f"Model Package Group {name} cannot be deleted: it still holds packages."
        )
    del _groups[name]
    return {}


def create_package(data: Record) -> Record:
    """CreateModelPackage: a new version in its group. Packages without a group are not kept here."""
    if "ModelPackageGroupName" not in data:
        raise ServiceError("ValidationException", "the local registry keeps versions of a group only")
    group = _group(data["ModelPackageGroupName"])
    with _lock:
        group["_versions"] += 1
        version = group["_versions"]
    name = group["ModelPackageGroupName"]
    arn = _arn("model-package", f"{name}/{version}")
    kept = {key: value for key, value in data.items() if key not in {"Tags", "ClientToken"}}
    _packages[arn] = {
        "ModelApprovalStatus": "PendingManualApproval",
        **kept,
        "ModelPackageGroupName": name,
        "ModelPackageVersion": version,
        "ModelPackageArn": arn,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "CreationTime": time.time(),
        "CreatedBy": {},
    }
    _announce(_packages[arn])
    return {"ModelPackageArn": arn}


def update_package(data: Record) -> Record:
    """UpdateModelPackage: approval, its description, and metadata, which is merged."""
    package = _package(data["ModelPackageArn"])
    kept = ("ModelApprovalStatus", "ApprovalDescription", "ModelLifeCycle")
    package.update({key: data[key] for key in kept if key in data})
    metadata = {**package.get("CustomerMetadataProperties", {}), **data.get("CustomerMetadataProperties", {})}
    removed = set(data.get("CustomerMetadataPropertiesToRemove", ()))
    package["CustomerMetadataProperties"] = {k: v for k, v in metadata.items() if k not in removed}
    package["LastModifiedTime"] = time.time()
    if "ModelApprovalStatus" in data:
        _announce(package)
    return {"ModelPackageArn": package["ModelPackageArn"]}


def delete_package(data: Record) -> Record:
    """DeleteModelPackage. Its version number is never given again."""
    del _packages[_package(data["ModelPackageName"])["ModelPackageArn"]]
    return {}


def list_packages(data: Record) -> Record:
    """ListModelPackages of a group, optionally of one approval status, oldest first unless asked."""
    wanted = {}
    if "ModelPackageGroupName" in data:
        wanted["ModelPackageGroupName"] = _group(data["ModelPackageGroupName"])["ModelPackageGroupName"]
    if "ModelApprovalStatus" in data:
        wanted["ModelApprovalStatus"] = data["ModelApprovalStatus"]
    found = {
        arn: package
        for arn, package in _packages.items()
        if all(package.get(key) == value for key, value in wanted.items())
    }
    return {"ModelPackageSummaryList": _list(found, data)}


def _list(store: dict[str, Record], data: Record) -> list[Record]:
    newest_first = data.get("SortOrder") == "Descending"
    ordered = sorted(store.values(), key=lambda item: item["CreationTime"], reverse=newest_first)
    return [_public(item) for item in ordered][: data.get("MaxResults", 100)]


def _announce(package: Record) -> None:
    detail = {**package, "CreationTime": round(package["CreationTime"] * 1000)}
    eventbridge.publish(
        "aws.sagemaker", "SageMaker Model Package State Change", [package["ModelPackageArn"]], detail
    )
