"""CloudWatch Logs: metrics embedded in log lines (EMF), and counted by metric filters, become metrics."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from ministack.services import cloudwatch, cloudwatch_logs

from local.emulator import filters
from local.hooks import expect, replace

log = logging.getLogger("millrace.logs")

Reading = tuple[str, str, float, str, dict[str, str]]
"""Namespace, metric, value, unit, dimensions."""


def install() -> None:
    """Look at every log event that arrives, from PutLogEvents and from Lambda alike."""
    expect(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))
    expect(cloudwatch_logs, "_metric_filters")
    replace(
        cloudwatch_logs, "_fanout_to_subscription_filters", ("group_name", "stream_name", "events"), _extract
    )


def _extract(original: Callable[..., None]) -> Callable[..., None]:
    def fan_out(group_name: str, stream_name: str, events: list[dict[str, Any]]) -> None:
        original(group_name, stream_name, events)
        filtered = [each for key, each in cloudwatch_logs._metric_filters.items() if key[0] == group_name]
        for event in events:
            message = event.get("message", "")
            if '"_aws"' in message:
                _record(message, group_name)
            for found in filtered:
                _count(message, found)

    return fan_out


def _record(message: str, group: str) -> None:
    try:
        for reading in readings(json.loads(message)):
            cloudwatch.record_metric(*reading)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s: not a valid embedded metric (%r): %s", group, error, message[:200])


def _count(message: str, found: dict[str, Any]) -> None:
    """Add a line to the metrics of the filter ``found``, if the line is JSON and matches."""
    try:
        document = json.loads(message)
    except ValueError:
        return
    try:
        if isinstance(document, dict) and filters.matcher(found["filterPattern"])(document):
            for transformation in found["metricTransformations"]:
                cloudwatch.record_metric(*filters.readings(transformation, document))
    except ValueError as error:
        log.warning("%s: the metric filter %s: %s", found["logGroupName"], found["filterName"], error)


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
