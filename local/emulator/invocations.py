"""SageMaker's runtime: InvokeEndpoint over HTTP, with AWS's limits, headers and errors."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import botocore.session

from local.emulator import endpoints, gateway
from local.emulator.moto_proxy import ServiceError
from local.executors.hosting import Answer

Reply = tuple[int, dict[str, str], bytes]

_INVOCATION = re.compile(r"/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)")
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_LIMITED = {"content-type": "ContentType", "accept": "Accept", _ATTRIBUTES: "CustomAttributes"}
_STATUSES = {"ValidationError": 400, "ServiceUnavailable": 503}


def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply | None:
    """Answer a request to the runtime; None where it is no such request."""
    found = _INVOCATION.fullmatch(path)
    if method != "POST" or not found:
        return None
    try:
        if found[2] != "invocations":
            raise ServiceError("ValidationError", f"the local environment does not offer {found[2]}")
        _check(headers, body)
        return _reply(found[1], endpoints.invoke(found[1], body, headers))
    except ServiceError as error:
        return _error(error.code, {"Message": str(error)}, _STATUSES.get(error.code, 400))


@cache
def _shape() -> Any:
    model = botocore.session.get_session().get_service_model("sagemaker-runtime")
    return model.operation_model("InvokeEndpoint").input_shape


def _check(headers: dict[str, str], body: bytes) -> None:
    """Hold the request to the limits of AWS's own description. Raises ServiceError."""
    most = _shape().members["Body"].metadata["max"]
    if len(body) > most:
        raise ServiceError("ValidationError", f"the body has {len(body)} bytes; {most} are the most")
    for header, member in _LIMITED.items():
        value, most = headers.get(header, ""), _shape().members[member].metadata["max"]
        if len(value) > most or not value.isascii():
            raise ServiceError(
                "ValidationError", f"{member} must be ASCII of at most {most} characters, not {len(value)}"
            )


def _reply(name: str, said: Answer) -> Reply:
    if 200 <= said.status < 300:
        # In lower case: MiniStack takes JSON under "Content-Type" for SageMaker's own, and calls it another.
        kept = {"content-type": said.headers.get("content-type", "application/octet-stream")}
        if _ATTRIBUTES in said.headers:
            kept["X-Amzn-SageMaker-Custom-Attributes"] = said.headers[_ATTRIBUTES]
        return 200, {**kept, "x-Amzn-Invoked-Production-Variant": "live"}, said.body
    return _model_error(name, said)


def _model_error(name: str, said: Answer) -> Reply:
    """What a caller sees of a container's refusal: not its status, but that there was one."""
    kind = "client" if 400 <= said.status < 500 else "server"
    message = said.body.decode(errors="replace")
    group = f"/aws/sagemaker/Endpoints/{name}"
    members = {
        "Message": f'Received {kind} error ({said.status}) from primary with message "{message}".',
        "OriginalMessage": message,
        "OriginalStatusCode": said.status,
        "LogStreamArn": f"arn:aws:logs:{gateway.REGION}:{gateway.ACCOUNT}:log-group:{group}",
    }
    return _error("ModelError", members, 424)


def _error(code: str, members: dict[str, Any], status: int) -> Reply:
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
    return status, headers, json.dumps(members).encode()
