"""Requests made of a bundle's own examples."""

from __future__ import annotations

import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of the bundle in ``folder``. Raises SystemExit where there is none."""
    file = folder / "manifest.json"
    if not file.is_file():
        raise SystemExit(f"{folder} holds no manifest.json: name the folder of a bundle.")
    manifest: dict[str, Any] = json.loads(file.read_bytes())
    return manifest


def predict_event(manifest: dict[str, Any], size: int) -> dict[str, Any]:
    """The event with which API Gateway invokes the function for a request of ``size`` records."""
    examples = [example["record"] for example in manifest["examples"]]
    name = manifest["workload"]
    path = f"/v1/models/{name}/predict"
    return {
        "resource": "/v1/models/{model}/predict",
        "path": path,
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"model": name},
        "stageVariables": None,
        "requestContext": {
            "requestId": "benchmark",
            "stage": "live",
            "path": path,
            "resourcePath": "/v1/models/{model}/predict",
            "httpMethod": "POST",
        },
        "body": json.dumps({"records": list(islice(cycle(examples), size))}),
        "isBase64Encoded": False,
    }
