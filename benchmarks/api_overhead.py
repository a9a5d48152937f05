"""What a prediction costs a caller beyond an empty function: medians of interleaved calls, as a ratio.

Puts an empty Lambda function behind a route of the very same API, with the same authorizer and scope, calls
both in turn over one kept-alive connection each, prints medians and their ratio, and takes the route away
again. Runs in the environment `local` with a released model:

    python -m benchmarks.api_overhead [--calls 400] [--publish]
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from benchmarks.charts import Chart, number
from benchmarks.environment import Environment
from benchmarks.page import Section, measured, publish
from benchmarks.rounds import spread

EMPTY = """
def handler(event, context):
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": "{}"}
"""
COMMAND = "make bench-api"
BLOCKS = 10
PROSE = """
One record sent to the released model, and the same call of an empty Lambda function behind the same API,
authorizer and scope, in turn over a kept-alive connection each: {calls} calls of either in the environment
`local`. The interval of the ratio is that of {blocks} parts of the calls. The laptop's API and Lambda are not
AWS's: what carries over is what the function adds, not the milliseconds.
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


def section(taken: dict[str, list[float]]) -> Section:
    """Return what was found, as a section of the page; the ratio's interval is of ``BLOCKS`` parts."""
    ratio = spread([median(predict) / median(empty) for predict, empty in blocks(taken)])
    milliseconds = {name: spread([1e3 * value for value in values]) for name, values in taken.items()}
    return Section(
        key="api_overhead",
        title="A prediction through the API against an empty function",
        command=COMMAND,
        prose=PROSE.format(calls=len(taken["predict"]), blocks=BLOCKS),
        header=("function", "median, ms", "95 % of calls within, ms"),
        rows=tuple(
            (name, number(milliseconds[name].median), number(1e3 * quantiles(values, n=20)[-1]))
            for name, values in taken.items()
        ),
        charts=(
            Chart(title="Predict over empty", bars=(ratio.bar("ratio of medians"),)),
            Chart(
                title="Median",
                unit="ms",
                bars=tuple(found.bar(name) for name, found in milliseconds.items()),
            ),
        ),
    )


def blocks(taken: dict[str, list[float]]) -> Iterator[tuple[list[float], list[float]]]:
    """Yield the calls of both functions in ``BLOCKS`` parts, by the time at which they were made."""
    size = max(1, len(taken["predict"]) // BLOCKS)
    for start in range(0, size * min(BLOCKS, len(taken["predict"])), size):
        yield taken["predict"][start : start + size], taken["empty"][start : start + size]


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", default="flights")
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--publish", action="store_true", help="into docs/benchmarks.md")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    environment = Environment(arguments.workload)
    body = json.dumps({"records": [environment.example()]}).encode()
    predict = Route("predict", f"/v1/models/{arguments.workload}/predict", body)
    with empty_function(environment) as arn, empty_route(environment, arn) as path:
        taken = measure(environment, [predict, Route("empty", path, b"{}")], arguments.calls)
    found = section(taken)
    log.info("%s", "\n".join(" | ".join(row) for row in (found.header, *found.rows)))
    log.info("ratio of medians, predict / empty: %s", measured(found.charts[0].bars[0]))
    if arguments.publish:
        publish(found)


if __name__ == "__main__":
    main()
