"""Answers that come from here and not from the model: RFC 9457 problem documents, as the model's own are."""

from __future__ import annotations

import json
from typing import Any

TITLES = {
    400: "Bad Request",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
UNRELEASED = "No model has been released yet. Train one and approve it; then this request will be answered."
SILENT = "The model did not answer; try again."
LATE = "The model did not answer in time; send fewer records."


def problem(status: int, detail: str, request_id: str, **more: str) -> dict[str, Any]:
    """Return the proxy response; ``more`` adds members to its document."""
    document = {
        "type": "about:blank",
        "title": TITLES[status],
        "status": status,
        "detail": detail,
        "errors": [],
        "request_id": request_id,
        **more,
    }
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
        "body": json.dumps(document, separators=(",", ":"), ensure_ascii=False),
    }
