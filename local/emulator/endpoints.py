"""SageMaker's endpoints: models, configurations, and endpoints that answer, each by a process of its own.

moto writes them down and answers every invocation with the same text. Here an endpoint's container is this
repository's server (``local/executors/hosting.py``), whatever image the model names.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import urllib3
from ministack.services import cloudwatch

from local.emulator import gateway
from local.emulator.moto_proxy import Operation, ServiceError
from local.emulator.traffic import RolledBackError, Served, shift, watched_alarms
from local.executors import hosting
from local.executors.hosting import Answer, Fleet, HostingError
from local.hooks import expect

log = logging.getLogger("millrace.endpoints")

Record = dict[str, Any]

_SETTLED = {"InService", "Failed", "OutOfService", "UpdateRollbackFailed"}
_START_SECONDS = 60.0


_models: dict[str, Record] = {}
_configs: dict[str, Record] = {}
_endpoints: dict[str, Served] = {}
_lock = threading.Lock()


def operations() -> dict[str, Operation]:
    """The operations by name."""
    return {
        "CreateModel": create_model,
        "DescribeModel": lambda data: _find(_models, "model", data["ModelName"]),
        "DeleteModel": lambda data: _delete(_models, "model", data["ModelName"]),
        "ListModels": lambda data: _list(_models.values(), "Model", data),
        "CreateEndpointConfig": create_config,
        "DescribeEndpointConfig": lambda data: _find(
            _configs, "endpoint configuration", data["EndpointConfigName"]
        ),
        "DeleteEndpointConfig": lambda data: _delete(
            _configs, "endpoint configuration", data["EndpointConfigName"]
        ),
        "ListEndpointConfigs": lambda data: _list(_configs.values(), "EndpointConfig", data),
        "CreateEndpoint": create_endpoint,
        "DescribeEndpoint": lambda data: dict(_endpoint(data["EndpointName"]).record),
        "UpdateEndpoint": update_endpoint,
        "DeleteEndpoint": delete_endpoint,
        "ListEndpoints": list_endpoints,
    }


# ---- models and configurations --------------------------------------------------------------------------


def create_model(data: Record) -> Record:
    """CreateModel."""
    arn = _add(_models, "model", data["ModelName"], data, "ModelArn")
    return {"ModelArn": arn}


def create_config(data: Record) -> Record:
    """CreateEndpointConfig, of one variant."""
    variants = data["ProductionVariants"]
    if len(variants) != 1 or "ModelName" not in variants[0]:
        raise ServiceError(
            "ValidationException",
            f"the local environment serves one variant with a ModelName; {data['EndpointConfigName']} has "
            f"{len(variants)} variants",
        )
    _find(_models, "model", variants[0]["ModelName"])
    arn = _add(_configs, "endpoint-config", data["EndpointConfigName"], data, "EndpointConfigArn")
    return {"EndpointConfigArn": arn}


def _arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{gateway.REGION}:{gateway.ACCOUNT}:{kind}/{name.lower()}"


def _add(store: dict[str, Record], kind: str, name: str, data: Record, member: str) -> str:
    arn = _arn(kind, name)
    kept = {key: value for key, value in data.items() if key != "Tags"}
    with _lock:
        if name in store:
            raise ServiceError("ValidationException", f'Cannot create already existing {kind} "{arn}".')
        store[name] = {**kept, member: arn, "CreationTime": time.time()}
    return arn


def _find(store: dict[str, Record], kind: str, name: str) -> Record:
    if name not in store:
        raise ServiceError("ValidationException", f'Could not find {kind} "{name}".')
    return dict(store[name])


def _delete(store: dict[str, Record], kind: str, name: str) -> Record:
    _find(store, kind, name)
    with _lock:
        store.pop(name, None)
    return {}


def _list(records: Any, kind: str, data: Record) -> Record:
    """A page of summaries in the order that is asked for: the newest first, unless told."""
    members = (f"{kind}Name", f"{kind}Arn", f"{kind}Status", "CreationTime", "LastModifiedTime")
    rows = [{name: record[name] for name in members if name in record} for record in list(records)]
    found = [row for row in rows if data.get("NameContains", "") in row[f"{kind}Name"]]
    by = f"{kind}Name" if data.get("SortBy") == "Name" else "CreationTime"
    found.sort(key=lambda row: row[by], reverse=data.get("SortOrder") != "Ascending")
    first = int(data.get("NextToken", 0))
    last = first + data.get("MaxResults", 10)
    more = {"NextToken": str(last)} if last < len(found) else {}
    return {f"{kind}s": found[first:last], **more}


# ---- endpoints ------------------------------------------------------------------------------------------


def _endpoint(name: str) -> Served:
    if name not in _endpoints:
        raise ServiceError("ValidationException", f'Could not find endpoint "{_arn("endpoint", name)}".')
    return _endpoints[name]


def list_endpoints(data: Record) -> Record:
    """ListEndpoints."""
    wanted = data.get("StatusEquals")
    records = [one.record for one in list(_endpoints.values())]
    found = [record for record in records if wanted in (None, record["EndpointStatus"])]
    return _list(found, "Endpoint", data)


def create_endpoint(data: Record) -> Record:
    """CreateEndpoint: the answer comes at once, the endpoint later."""
    name, config = data["EndpointName"], data["EndpointConfigName"]
    _find(_configs, "endpoint configuration", config)
    with _lock:
        if name in _endpoints:
            raise ServiceError(
                "ValidationException", f'Cannot create already existing endpoint "{_arn("endpoint", name)}".'
            )
        served = _endpoints[name] = Served(
            {"EndpointName": name, "EndpointArn": _arn("endpoint", name), "CreationTime": time.time()}
        )
        served.tell("Creating", EndpointConfigName=config)
    _in_background(_come_up, served, config)
    return {"EndpointArn": served.record["EndpointArn"]}


def update_endpoint(data: Record) -> Record:
    """UpdateEndpoint: blue/green, the old fleet answering until the new one has proved itself."""
    served = _endpoint(data["EndpointName"])
    _find(_configs, "endpoint configuration", data["EndpointConfigName"])
    deployment = data.get("DeploymentConfig") or {}
    if "RollingUpdatePolicy" in deployment:
        raise ServiceError("ValidationException", "the local environment updates endpoints blue/green only")
    watched = watched_alarms(deployment)
    _occupy(served, "Updating", f'Cannot update in-progress endpoint "{served.record["EndpointArn"]}".')
    _in_background(_replace, served, data["EndpointConfigName"], deployment, watched)
    return {"EndpointArn": served.record["EndpointArn"]}


def delete_endpoint(data: Record) -> Record:
    """DeleteEndpoint."""
    served = _endpoint(data["EndpointName"])
    _occupy(served, "Deleting", f'Cannot delete in-progress endpoint "{served.record["EndpointArn"]}".')
    _in_background(_go_away, served)
    return {}


def _occupy(served: Served, status: str, refusal: str) -> None:
    with _lock:
        if served.record["EndpointStatus"] not in _SETTLED:
            raise ServiceError("ValidationException", refusal)
        served.tell(status)


def _in_background(work: Callable[..., None], *arguments: Any) -> None:
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work, *arguments), daemon=True).start()


def _come_up(served: Served, config: str) -> None:
    try:
        served.put(_start(served, config))
    except HostingError as error:
        served.tell("Failed", str(error))
    else:
        served.tell("InService", EndpointConfigName=config, ProductionVariants=_variants(config))


def _go_away(served: Served) -> None:
    former = served.put(None)
    if former is not None:
        former.close()
    name = served.record["EndpointName"]
    with _lock:
        if _endpoints.get(name) is served:
            del _endpoints[name]


def _replace(served: Served, config: str, deployment: Record, watched: list[str]) -> None:
    began = served.fleet
    challenger = None
    try:
        challenger = _start(served, config)
        shift(served, challenger, deployment, watched)
    except (HostingError, RolledBackError) as error:
        served.tell("RollingBack")
        served.put(began)
        if challenger is not None:
            challenger.close()
        served.tell("InService", str(error))
        return
    former = served.put(challenger)
    if former is not None:
        former.close()
    if deployment:
        served.record["LastDeploymentConfig"] = deployment
    served.tell("InService", EndpointConfigName=config, ProductionVariants=_variants(config))


def _start(served: Served, config: str) -> Fleet:
    try:
        variant = _find(_configs, "endpoint configuration", config)["ProductionVariants"][0]
        model = _find(_models, "model", variant["ModelName"])
    except ServiceError as error:
        raise HostingError(str(error)) from error
    instance = uuid.uuid4().hex[:8]
    name = served.record["EndpointName"]
    folder = gateway.root() / "jobs" / f"endpoint-{name}-{instance}"
    try:
        log_stream = f"{variant['VariantName']}/i-{instance}"
        return hosting.start(model, variant, folder, (f"{hosting.GROUP}/{name}", log_stream))
    except HostingError:
        raise
    except Exception as error:
        log.exception("endpoint %s", name)
        raise HostingError(f"InternalServerError: the local executor broke: {error!r}") from error


def _variants(config: str) -> list[Record]:
    variant = _configs[config]["ProductionVariants"][0]
    image = _models[variant["ModelName"]]["PrimaryContainer"].get("Image", "")
    count, weight = variant.get("InitialInstanceCount", 1), float(variant.get("InitialVariantWeight", 1))
    return [
        {
            "VariantName": variant["VariantName"],
            "DeployedImages": [{"SpecifiedImage": image, "ResolutionTime": time.time()}],
            "CurrentWeight": weight,
            "DesiredWeight": weight,
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
        }
    ]


# ---- invocations ----------------------------------------------------------------------------------------


def invoke(name: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Let the endpoint ``name`` answer; an answer that is no success becomes AWS's error.

    ``headers`` by lower-case name. Raises ServiceError where nothing can be asked.
    """
    served = _endpoints.get(name)
    fleet = served.take() if served is not None else None
    if served is None or fleet is None:
        raise ServiceError("ValidationError", f"Endpoint {name} of account {gateway.ACCOUNT} not found.")
    passed = {key: value for key, value in headers.items() if key in hosting.PASSED_ON}
    began = time.perf_counter()
    answer = _asked(fleet, body, passed)
    _count(name, served, answer.status, time.perf_counter() - began)
    if fleet.ended:
        _revive(served, fleet)
    return answer


def _asked(fleet: Fleet, body: bytes, headers: dict[str, str]) -> Answer:
    try:
        return fleet.ask(body, headers)
    except urllib3.exceptions.TimeoutError:
        return Answer(0, {}, b"The invocation timed out while waiting for a response from container primary.")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        return Answer(500, {}, f"The container did not answer: {error}".encode())


def _count(name: str, served: Served, status: int, seconds: float) -> None:
    record = expect(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))
    variants = served.record.get("ProductionVariants") or [{}]
    dimensions = {"EndpointName": name, "VariantName": variants[0].get("VariantName", "live")}
    values = {
        "Invocations": 1.0,
        "InvocationsPerInstance": 1.0 / max(1, variants[0].get("CurrentInstanceCount", 1)),
        "Invocation4XXErrors": float(400 <= status < 500),
        "Invocation5XXErrors": float(status == 0 or status >= 500),
    }
    for metric, value in values.items():
        record("AWS/SageMaker", metric, value, "Count", dimensions)
    record("AWS/SageMaker", "ModelLatency", seconds * 1e6, "Microseconds", dimensions)


def _revive(served: Served, dead: Fleet) -> None:
    """Start another container in place of one that ended, as SageMaker replaces an instance."""
    with _lock:
        if served.fleet is not dead or served.record["EndpointStatus"] != "InService":
            return
        served.tell("SystemUpdating")
    served.put(None)
    log.warning("the container of %s ended; another is started", served.record["EndpointName"])
    _in_background(_recover, served, dead)


def _recover(served: Served, dead: Fleet) -> None:
    dead.close()
    _come_up(served, served.record["EndpointConfigName"])


# ---- a restart of the emulator --------------------------------------------------------------------------


def state() -> Record:
    """Everything kept, as JSON."""
    return {
        "models": _models,
        "configs": _configs,
        "endpoints": {name: one.record for name, one in _endpoints.items()},
    }


def restore(saved: Record) -> None:
    """Take over what ``state`` returned; what runs is ended, what was in service comes up again."""
    for served in list(_endpoints.values()):
        _in_background(_go_away, served)
    _endpoints.clear()
    for store, name in ((_models, "models"), (_configs, "configs")):
        store.clear()
        store.update(saved.get(name, {}))
    for name, record in saved.get("endpoints", {}).items():
        served = _endpoints[name] = Served(dict(record))
        _in_background(_come_back, served)


def _come_back(served: Served) -> None:
    """Bring an endpoint up again once the emulator answers: its model's files are the emulator's."""
    if served.record["EndpointStatus"] in ("Creating", "Failed", "Deleting"):
        served.tell("Failed", "the local environment was stopped while the endpoint was made or deleted")
        return
    served.tell("SystemUpdating")
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            gateway.client("s3").list_buckets()
            break
        except Exception:  # it is not listening yet, in one of many ways
            time.sleep(0.2)
    _come_up(served, served.record["EndpointConfigName"])
