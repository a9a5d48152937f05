"""A service that MiniStack lacks: own operations first, moto, in this process, for the rest.

moto keeps what it is told and answers describe and list calls; it runs nothing. Operations that do
something, or that moto gets wrong, are functions of Millrace's own in front of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import json
import os
import sys
import types
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
from botocore.validate import ParamValidator
from ministack import app, services
from ministack.core import router
from ministack.core.responses import error_response_json, json_response
from werkzeug.test import Client

from local.emulator import gateway
from local.hooks import expect

Operation = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a request's members and returns the answer's. Raises ServiceError."""
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an HTTP answer."""
ByPath = Callable[[str, str, dict[str, str], bytes], Reply | None]
"""Takes method, path, headers (names in lower case) and body; answers, or leaves the request to others."""

_ASKING = ThreadPoolExecutor(32, thread_name_prefix="by-path")
"""Requests by path wait for containers, and functions wait for them: they must not share others' threads."""


class ServiceError(Exception):
    """An error of the emulated service: ``code`` as AWS names it, and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def add_service(
    name: str,
    target_prefix: str,
    operations: Mapping[str, Operation],
    save: Callable[[], dict[str, Any]],
    load: Callable[[dict[str, Any]], None],
    *,
    by_path: ByPath = lambda *_: None,
) -> None:
    """Make the gateway serve ``name``. ``save`` and ``load`` carry its state over a restart (JSON).

    ``by_path`` answers requests that name no operation but a path.
    """
    os.environ.setdefault("MOTO_ACCOUNT_ID", gateway.ACCOUNT)
    module = types.ModuleType(f"ministack.services.{name}")
    members = {
        "handle_request": _handler(name, operations, by_path),
        "reset": lambda: load({}),
        "get_state": save,
        "load_persisted_state": lambda state: load(state or {}),
    }
    for member, value in members.items():
        setattr(module, member, value)
    sys.modules[module.__name__] = module
    setattr(services, name, module)
    _route(name, target_prefix)


def _route(name: str, target_prefix: str) -> None:
    expect(app, "SERVICE_REGISTRY")[name] = {"module": name}
    expect(app, "SERVICE_HANDLERS")[name] = expect(app, "_lazy_handler", ("module_name",))(name)
    expect(app, "_state_map")[name] = name
    expect(router, "SERVICE_PATTERNS")[name] = {
        "host_patterns": [rf"^{name}\."],
        "target_prefixes": [target_prefix],
    }


def _handler(name: str, operations: Mapping[str, Operation], by_path: ByPath) -> Callable[..., Any]:
    async def handle_request(
        method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
    ) -> Any:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        context = contextvars.copy_context()
        own = operations.get(operation)
        if own is not None:
            data = json.loads(body or b"{}")
            return await asyncio.to_thread(context.run, _answer, name, operation, own, data)
        if not operation:
            lower = {key.lower(): value for key, value in headers.items()}
            loop = asyncio.get_running_loop()
            reply = await loop.run_in_executor(_ASKING, context.run, by_path, method, path, lower, body)
            if reply is not None:
                return reply
        return await asyncio.to_thread(context.run, _forward, method, path, headers, body, query_params)

    return handle_request


def _answer(service: str, name: str, operation: Operation, data: dict[str, Any]) -> Any:
    try:
        check(service, name, data)
        return json_response(operation(data))
    except ServiceError as error:
        return error_response_json(error.code, str(error), 400)


@cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


def check(service: str, operation: str, data: dict[str, Any]) -> None:
    """Check a request against AWS's own description of the operation. Raises ServiceError."""
    report = ParamValidator().validate(data, _model(service).operation_model(operation).input_shape)
    if report.has_errors():
        raise ServiceError("ValidationException", report.generate_report())


@cache
def _moto() -> Any:
    server = importlib.import_module("moto.moto_server.werkzeug_app")  # a second, so only when it is needed
    return Client(server.DomainDispatcherApplication(server.create_backend_app))


def _forward(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    query = "?" + urlencode(query_params, doseq=True) if query_params else ""
    dropped = {"host", "content-length", "transfer-encoding", "expect", "connection", "server", "date"}
    response = _moto().open(
        quote(path, safe="/%:@") + query,
        method=method,
        headers=[(key, value) for key, value in headers.items() if key.lower() not in dropped],
        data=body,
        base_url="http://127.0.0.1",
    )
    kept = {key: value for key, value in response.headers.items() if key.lower() not in dropped}
    return response.status_code, kept, response.get_data()
