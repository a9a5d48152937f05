"""The rival on Powertools' API Gateway resolver and nothing else of it: metrics as a log line of its own."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from .duty import Model, Refused

app = APIGatewayRestResolver()
model = Model.open()
METRICS = [{"Name": "Records", "Unit": "Count"}, {"Name": "Latency", "Unit": "Milliseconds"}]


@app.post("/v1/models/<name>/predict")
def predict(name: str) -> Response[str]:
    """Answer a predict request."""
    started = time.perf_counter()
    request_id = app.current_event.request_context.request_id or ""
    try:
        predictions = model.predict(app.current_event.json_body["records"], request_id)
    except Refused as refused:
        return Response(400, "application/problem+json", json.dumps({"errors": refused.flaws}))
    write(name, request_id, len(predictions), time.perf_counter() - started)
    version = model.manifest["version"]
    body = json.dumps({"model": name, "version": version, "predictions": predictions})
    return Response(200, "application/json", body)


def write(name: str, request_id: str, records: int, seconds: float) -> None:
    """Write the request's line, which is its metrics too."""
    directive = {"Namespace": "Rival", "Dimensions": [["Workload"]], "Metrics": METRICS}
    line = {
        "request_id": request_id,
        "Workload": name,
        "Records": records,
        "Latency": seconds * 1000,
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]},
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one API Gateway event."""
    return app.resolve(event, context)
