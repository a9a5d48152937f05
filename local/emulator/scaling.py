"""Application Auto Scaling: targets and policies are recorded and listed. Nothing on a laptop scales."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

from local.emulator import gateway
from local.emulator.moto_proxy import ServiceError, add_service

log = logging.getLogger("millrace.scaling")

Record = dict[str, Any]
_KEYS = ("ServiceNamespace", "ResourceId", "ScalableDimension")

_targets: dict[str, Record] = {}
_policies: dict[str, Record] = {}


def install() -> None:
    """Serve Application Auto Scaling."""
    own = {
        "RegisterScalableTarget": register,
        "DescribeScalableTargets": describe_targets,
        "DeregisterScalableTarget": deregister,
        "PutScalingPolicy": put_policy,
        "DescribeScalingPolicies": describe_policies,
        "DeleteScalingPolicy": delete_policy,
    }
    add_service("application-autoscaling", "AnyScaleFrontendService.", own, _save, _load)


def _save() -> Record:
    return {"targets": _targets, "policies": _policies}


def _load(saved: Record) -> None:
    for store, name in ((_targets, "targets"), (_policies, "policies")):
        store.clear()
        store.update(saved.get(name, {}))


def _key(data: Record) -> str:
    return "|".join(data[name] for name in _KEYS)


def _target(data: Record) -> Record:
    key = _key(data)
    if key not in _targets:
        raise ServiceError(
            "ObjectNotFoundException", f"No scalable target is registered for {data['ResourceId']}."
        )
    return _targets[key]


def register(data: Record) -> Record:
    """RegisterScalableTarget: a new one, or new bounds for one that is known."""
    known = _targets.get(_key(data), {})
    record = {**known, **{name: value for name, value in data.items() if name != "Tags"}}
    missing = [name for name in ("MinCapacity", "MaxCapacity") if name not in record]
    if missing:
        raise ServiceError("ValidationException", f"{', '.join(missing)} must be given the first time.")
    if record["MinCapacity"] > record["MaxCapacity"]:
        raise ServiceError("ValidationException", "MaxCapacity must not be less than MinCapacity.")
    place = f"arn:aws:application-autoscaling:{gateway.REGION}:{gateway.ACCOUNT}"
    arn = f"{place}:scalable-target/{uuid.uuid4().hex[:18]}"
    defaults = {"CreationTime": time.time(), "RoleARN": "", "ScalableTargetARN": arn}
    _targets[_key(data)] = {**defaults, **record}
    log.warning("%s is registered for scaling; this machine does not scale", data["ResourceId"])
    return {"ScalableTargetARN": _targets[_key(data)]["ScalableTargetARN"]}


def describe_targets(data: Record) -> Record:
    """DescribeScalableTargets."""
    return {"ScalableTargets": _of(_targets, data, data.get("ResourceIds"))}


def deregister(data: Record) -> Record:
    """DeregisterScalableTarget: its policies go with it."""
    _target(data)
    del _targets[_key(data)]
    for name in [name for name, policy in _policies.items() if _key(policy) == _key(data)]:
        del _policies[name]
    return {}


def put_policy(data: Record) -> Record:
    """PutScalingPolicy."""
    _target(data)
    name = f"{_key(data)}|{data['PolicyName']}"
    known = _policies.get(name, {"CreationTime": time.time(), "PolicyARN": _policy_arn(data), "Alarms": []})
    _policies[name] = {**known, **data}
    return {"PolicyARN": known["PolicyARN"], "Alarms": []}


def _policy_arn(data: Record) -> str:
    place = f"arn:aws:autoscaling:{gateway.REGION}:{gateway.ACCOUNT}:scalingPolicy:{uuid.uuid4()}"
    return f"{place}:resource/{data['ServiceNamespace']}/{data['ResourceId']}:policyName/{data['PolicyName']}"


def describe_policies(data: Record) -> Record:
    """DescribeScalingPolicies."""
    wanted = [data["ResourceId"]] if "ResourceId" in data else None
    names = data.get("PolicyNames")
    found = _of(_policies, data, wanted)
    return {"ScalingPolicies": [one for one in found if names is None or one["PolicyName"] in names]}


def delete_policy(data: Record) -> Record:
    """DeleteScalingPolicy."""
    name = f"{_key(data)}|{data['PolicyName']}"
    if name not in _policies:
        raise ServiceError("ObjectNotFoundException", f"No scaling policy is named {data['PolicyName']}.")
    del _policies[name]
    return {}


def _of(store: dict[str, Record], data: Record, resources: list[str] | None) -> list[Record]:
    return [
        record
        for record in store.values()
        if record["ServiceNamespace"] == data["ServiceNamespace"]
        and (resources is None or record["ResourceId"] in resources)
        and data.get("ScalableDimension") in (None, record["ScalableDimension"])
    ]
