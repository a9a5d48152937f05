"""API Gateway's half of a request: the proxy event that the function gets."""

from __future__ import annotations

import json
from typing import Any

PREDICT = "/v1/models/{model}/predict"
MODEL = "/v1/models/{model}"
HEALTH = "/health"


def event(
    body: Any = None,
    *,
    resource: str = PREDICT,
    model: str | None = "parcels",
    headers: dict[str, str] | None = None,
    encoded: bool = False,
) -> dict[str, Any]:
    """Return an event; a ``body`` that is neither text nor None is sent as JSON."""
    return {
        "resource": resource,
        "path": resource.replace("{model}", model or ""),
        "httpMethod": "POST" if resource == PREDICT else "GET",
        "headers": {"Content-Type": "application/json"} if headers is None else headers,
        "pathParameters": {"model": model} if model else None,
        "requestContext": {"requestId": "0a1b2c3d", "stage": "live"},
        "body": body if isinstance(body, str | None) else json.dumps(body),
        "isBase64Encoded": encoded,
    }


def records(*each: Any) -> dict[str, Any]:
    return {"records": list(each)}


def read(response: dict[str, Any]) -> Any:
    return json.loads(response["body"])
