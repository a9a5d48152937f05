"""The metrics that API Gateway, Step Functions and SQS put into CloudWatch by themselves."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from ministack.services import apigateway_v1, cloudwatch, sqs, stepfunctions

from local.emulator import access_log
from local.hooks import expect, replace

_ENDINGS = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def install() -> None:
    """Record requests to REST APIs, and starts and ends of executions."""
    expect(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))
    expect(apigateway_v1, "_rest_apis")
    expect(sqs, "_queues")
    replace(
        apigateway_v1,
        "handle_execute",
        ("api_id", "stage_name", "method", "path", "headers", "body", "query_params"),
        _count_requests,
    )
    replace(stepfunctions, "_emit_execution_status_event", ("execution",), _count_executions)


def measure_queues() -> None:
    """Record how many messages wait in each queue that holds some."""
    for queue in list(sqs._queues.values()):
        waiting = sum(1 for message in queue["messages"] if message["visible_at"] <= time.time())
        if waiting:
            cloudwatch.record_metric(
                "AWS/SQS",
                "ApproximateNumberOfMessagesVisible",
                waiting,
                "Count",
                {"QueueName": queue["name"]},
            )


def _count_requests(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def handle_execute(api_id: str, stage_name: str, *request: Any) -> Any:
        started = time.perf_counter()
        answer = await original(api_id, stage_name, *request)
        milliseconds = (time.perf_counter() - started) * 1000
        _request(api_id, stage_name, int(answer[0]), milliseconds)
        route = access_log.route(api_id, request[0], request[1])
        access_log.write(api_id, stage_name, _known(request[0], route, answer, milliseconds))
        return answer

    return handle_execute


def _request(api: str, stage: str, status: int, milliseconds: float) -> None:
    name = (apigateway_v1._rest_apis.get(api) or {}).get("name", api)
    dimensions = {"ApiName": name, "Stage": stage}
    values = {"Count": 1, "4XXError": int(400 <= status < 500), "5XXError": int(status >= 500)}
    for metric, value in values.items():
        cloudwatch.record_metric("AWS/ApiGateway", metric, value, "Count", dimensions)
    cloudwatch.record_metric("AWS/ApiGateway", "Latency", milliseconds, "Milliseconds", dimensions)


def _known(method: str, route: str, answer: Any, milliseconds: float) -> dict[str, str]:
    """What can be told of a request here, by the names that API Gateway's logs have for it."""
    moment = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    headers = {name.lower(): value for name, value in dict(answer[1]).items()}
    return {
        "$context.requestId": str(headers.get("x-amzn-requestid", "-")),
        "$context.requestTime": moment,
        "$context.resourcePath": route,
        "$context.httpMethod": method,
        "$context.status": str(answer[0]),
        "$context.responseLength": str(len(answer[2] or b"")),
        "$context.responseLatency": f"{milliseconds:.0f}",
        "$context.identity.sourceIp": "127.0.0.1",
    }


def _count_executions(original: Callable[..., None]) -> Callable[..., None]:
    def emit(execution: dict[str, Any]) -> None:
        original(execution)
        metric = _ENDINGS.get(execution["status"], "ExecutionsStarted")
        machine = {"StateMachineArn": execution["stateMachineArn"]}
        cloudwatch.record_metric("AWS/States", metric, 1, "Count", machine)
        if metric != "ExecutionsStarted":
            cloudwatch.record_metric(
                "AWS/States", "ExecutionTime", _lasted(execution), "Milliseconds", machine
            )

    return emit


def _lasted(execution: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(execution[key]) for key in ("startDate", "stopDate"))
    return (end - start).total_seconds() * 1000
