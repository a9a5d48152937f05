"""What a prediction costs a caller beyond an empty function: medians of interleaved calls, as a ratio.

Puts an empty Lambda function behind a route of the very same API, with the same authorizer and scope, calls
both in turn over one kept-alive connection each, prints medians and their ratio, and takes the route away
again. Runs in the environment `local` with a released model: ``python -m benchmarks.api_overhead``.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import statistics
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.environment import Environment

EMPTY = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}
"""
PAUSE = 0.02
"""Seconds between two calls: the stage admits 100 requests a second and refuses more."""
log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Route:
    """Something to call: a path under the API's stage and the body to POST."""

    name: str
    path: str
    body: bytes


def empty_package() -> bytes:
    """Zip of the empty handler."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("empty.py", EMPTY)
    return buffer.getvalue()


@contextmanager
def empty_function(environment: Environment) -> Iterator[str]:
    """An empty Lambda function with the predict function's role and runtime; its invocation ARN."""
    client, like = environment.client("lambda"), environment.function()
    made = client.create_function(
        FunctionName="millrace-benchmark-empty",
        Runtime=like["Runtime"],
        Role=like["Role"],
        Handler="empty.handler",
        MemorySize=like["MemorySize"],
        Code={"ZipFile": empty_package()},
    )
    try:
        yield made["FunctionArn"]
    finally:
        client.delete_function(FunctionName="millrace-benchmark-empty")


@contextmanager
def empty_route(environment: Environment, function_arn: str) -> Iterator[str]:
    """A route ``POST /empty`` with the authorizer and scope of the predict method; its path."""
    gateway, api = environment.client("apigateway"), environment.api_id()
    resources = gateway.get_resources(restApiId=api, limit=500)["items"]
    method = predict_method(gateway, api, resources)
    root = next(item["id"] for item in resources if item["path"] == "/")
    made = gateway.create_resource(restApiId=api, parentId=root, pathPart="empty")["id"]
    where = {"restApiId": api, "resourceId": made, "httpMethod": "POST"}
    gateway.put_method(
        **where,
        authorizationType=method["authorizationType"],
        authorizerId=method["authorizerId"],
        authorizationScopes=method["authorizationScopes"],
    )
    uri = (
        f"arn:aws:apigateway:{environment.region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"
    )
    gateway.put_integration(**where, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri)
    gateway.create_deployment(restApiId=api, stageName="live")
    try:
        yield "/empty"
    finally:
        gateway.delete_resource(restApiId=api, resourceId=made)
        gateway.create_deployment(restApiId=api, stageName="live")


def predict_method(gateway: Any, api: str, resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The POST method of the predict resource, authorizer and scopes included."""
    resource = next(item["id"] for item in resources if item["path"].endswith("/predict"))
    method: dict[str, Any] = gateway.get_method(restApiId=api, resourceId=resource, httpMethod="POST")
    return method


def timed_call(connection: HTTPConnection, base: str, route: Route, token: str) -> float:
    """Seconds from the request to the last byte of its answer; raises unless the answer is 200."""
    headers = {"Authorization": token, "Content-Type": "application/json"}
    started = time.perf_counter()
    connection.request("POST", base + route.path, route.body, headers)
    answer = connection.getresponse()
    body = answer.read()
    taken = time.perf_counter() - started
    if answer.status != 200:
        raise RuntimeError(f"{route.name} answered {answer.status}: {body.decode(errors='replace')}")
    return taken


def measure(environment: Environment, routes: list[Route], calls: int) -> dict[str, list[float]]:
    """Seconds of each call of each route, called in turn after a warm-up."""
    url, token = urlsplit(environment.api_url), environment.token()
    connections = {route.name: HTTPConnection(url.hostname or "", url.port, timeout=30) for route in routes}
    taken: dict[str, list[float]] = {route.name: [] for route in routes}
    for turn in range(calls + 20):
        for route in routes:
            time.sleep(PAUSE)
            seconds = timed_call(connections[route.name], url.path, route, token)
            if turn >= 20:
                taken[route.name].append(seconds)
    return taken


def report(taken: dict[str, list[float]]) -> str:
    """One line for each route and the ratio of the medians, predict over empty."""
    lines = [
        f"{name:8} p50 {statistics.median(values) * 1e3:7.2f} ms   "
        f"p95 {statistics.quantiles(values, n=20)[-1] * 1e3:7.2f} ms   {len(values)} calls"
        for name, values in taken.items()
    ]
    ratio = statistics.median(taken["predict"]) / statistics.median(taken["empty"])
    return "\n".join([*lines, f"ratio of medians, predict / empty: {ratio:.3f}"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", default="flights")
    parser.add_argument("--calls", type=int, default=400)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    environment = Environment(arguments.workload)
    body = json.dumps({"records": [environment.example()]}).encode()
    predict = Route("predict", f"/v1/models/{arguments.workload}/predict", body)
    with empty_function(environment) as arn, empty_route(environment, arn) as path:
        taken = measure(environment, [predict, Route("empty", path, b"{}")], arguments.calls)
    log.info(report(taken))


if __name__ == "__main__":
    main()
