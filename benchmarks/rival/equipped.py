"""The rival with all that Powertools brings for it: resolver, Logger, Metrics and Tracer."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.metrics import MetricUnit

from .duty import Model, Refused

app = APIGatewayRestResolver()
logger, metrics, tracer = Logger(service="rival"), Metrics(namespace="Rival", service="rival"), Tracer()
model = Model.open()


@app.post("/v1/models/<name>/predict")
@tracer.capture_method
def predict(name: str) -> Response[str]:
    """Answer a predict request."""
    request_id = app.current_event.request_context.request_id or ""
    try:
        predictions = model.predict(app.current_event.json_body["records"], request_id)
    except Refused as refused:
        return Response(400, "application/problem+json", json.dumps({"errors": refused.flaws}))
    metrics.add_metric("Records", MetricUnit.Count, len(predictions))
    logger.info("request", extra={"request_id": request_id, "records": len(predictions)})
    version = model.manifest["version"]
    body = json.dumps({"model": name, "version": version, "predictions": predictions})
    return Response(200, "application/json", body)


@logger.inject_lambda_context
@tracer.capture_lambda_handler
@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one API Gateway event."""
    return app.resolve(event, context)
