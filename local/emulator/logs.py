"""CloudWatch Logs: metrics embedded in log lines (EMF) become metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import cloudwatch, cloudwatch_logs

from local.hooks import expect, replace

log = logging.getLogger("millrace.logs")

Reading = tuple[str, str, float, str, dict[str, str]]
"""Namespace, metric, value, unit, dimensions."""


def install() -> None:
    """Look at every log event that arrives, from PutLogEvents and from Lambda alike."""
    expect(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))
    replace(
        cloudwatch_logs, "_fanout_to_subscription_filters", ("group_name", "stream_name", "events"), _extract
    )


def _extract(original: Callable[..., None]) -> Callable[..., None]:
    def fan_out(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
        original(group_name, stream_name, events)
        for event in events:
            message = event.get("message", "")
            if '"_aws"' in message:
                _record(message, group_name)

    return fan_out


def _record(message: str, group: str) -> None:
    try:
        for reading in readings(json.loads(message)):
            cloudwatch.record_metric(*reading)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s: not a valid embedded metric (%r): %s", group, error, message[:200])


def readings(document: dict[str, Any]) -> Iterator[Reading]:
    """The values in one EMF document, once for each of its dimension sets."""
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive.get("Dimensions") or [[]]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                found = document[metric["Name"]]
                for value in found if isinstance(found, list) else [found]:
                    unit = metric.get("Unit", "None")
                    yield directive["Namespace"], metric["Name"], float(value), unit, dimensions
