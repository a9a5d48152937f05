"""CloudWatch alarms: dimensions, M of N datapoints, missing data, events, and a clock of their own.

MiniStack compares all points of a metric's name, whatever their dimensions, and only when a metric is put.
"""

from __future__ import annotations

import contextvars
import logging
import operator
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from local.emulator import eventbridge, gateway, metrics
from local.hooks import expect, replace

log = logging.getLogger("millrace.alarms")

Alarm = dict[str, Any]
Point = dict[str, Any]

TICK_SECONDS = 5.0

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_STATISTICS = {"Average", "Maximum", "Minimum", "SampleCount", "Sum"}
_MISSING: dict[str, bool | None] = {"breaching": True, "notBreaching": False}


def install() -> None:
    """Replace the evaluation of metric alarms and start the clock."""
    expect(cloudwatch, "_metrics")
    expect(cloudwatch, "_dims_key", ("dims",))
    expect(cloudwatch, "_dims_from_list", ("dimensions",))
    expect(cloudwatch, "_calc_stats", ("points",))
    expect(cloudwatch, "_stat_value", ("stats", "stat_name", "points"))
    expect(
        cloudwatch,
        "_record_history",
        ("alarm_name", "old_state", "new_state", "reason", "alarm_type", "reason_data"),
    )
    expect(cloudwatch, "_evaluate_parent_alarms", ("child", "seen"))
    expect(cloudwatch, "_evaluate_all_alarms", ())
    replace(cloudwatch, "_evaluate_alarm", ("alarm",), lambda _: evaluate)
    replace(cloudwatch, "_dispatch_alarm_actions", ("alarm", "old_state", "new_state", "reason"), _announce)
    replace(provisioners, "_cw_metric_alarm_record", ("name", "props"), _flatten)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_tick,), daemon=True).start()


def _flatten(original: Callable[..., Alarm]) -> Callable[..., Alarm]:
    """Let a template give one metric as a list of one query, as the CDK does for a metric with a label."""

    def record(name: str, props: dict[str, Any]) -> Alarm:
        queries = props.get("Metrics") or []
        if len(queries) != 1 or "MetricStat" not in queries[0]:
            return original(name, props)
        found = queries[0]["MetricStat"]
        statistic = "Statistic" if found["Stat"] in _STATISTICS else "ExtendedStatistic"
        plain = {key: value for key, value in props.items() if key != "Metrics"}
        return original(
            name, {**plain, **found["Metric"], "Period": found["Period"], statistic: found["Stat"]}
        )

    return record


def _tick() -> None:
    while True:
        time.sleep(TICK_SECONDS)
        metrics.measure_queues()
        cloudwatch._evaluate_all_alarms()


def evaluate(alarm: Alarm) -> None:
    """Compare an alarm's latest datapoints with its threshold and change its state if that is due."""
    if not alarm.get("Namespace") or not alarm.get("MetricName"):
        return  # metric math: recorded, not evaluated
    breaches = [_breaches(alarm, points) for points in _periods(alarm, time.time())]
    old = alarm["StateValue"]
    new = _state(alarm, breaches, old)
    if new == old:
        return
    count = sum(1 for breach in breaches if breach)
    reason = (
        f"Threshold Crossed: {count} of {len(breaches)} datapoints were "
        f"{alarm.get('ComparisonOperator')} {alarm.get('Threshold')}"
    )
    alarm.update(StateValue=new, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], old, new, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, new, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _state(alarm: Alarm, breaches: list[bool | None], old: str) -> str:
    """``breaches``: for each period whether it breached, None where data is missing and undecided."""
    needed = int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods", 1))
    known = [breach for breach in breaches if breach is not None]
    if known.count(True) >= needed:
        return "ALARM"
    if known:
        return "OK"
    return old if alarm.get("TreatMissingData") == "ignore" else "INSUFFICIENT_DATA"


def _periods(alarm: Alarm, now: float) -> list[list[Point]]:
    """The metric's points in each of the alarm's evaluation periods, the latest first."""
    dimensions = alarm.get("Dimensions") or {}
    named = dimensions if isinstance(dimensions, dict) else cloudwatch._dims_from_list(dimensions)
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(named))
    length = int(alarm.get("Period", 60))
    periods: list[list[Point]] = [[] for _ in range(int(alarm.get("EvaluationPeriods", 1)))]
    for point in list(cloudwatch._metrics.get(key) or ()):
        index = int(max(0.0, now - point["Timestamp"]) // length)
        if index < len(periods):
            periods[index].append(point)
    return periods


def _breaches(alarm: Alarm, points: list[Point]) -> bool | None:
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
    if value is None:
        return _MISSING.get(alarm.get("TreatMissingData", "missing"))
    compare = _COMPARE.get(alarm.get("ComparisonOperator", ""))
    return compare(value, float(alarm.get("Threshold", 0))) if compare else None


def _announce(original: Callable[..., None]) -> Callable[..., None]:
    """Send the event that CloudWatch sends beside an alarm's actions."""

    def dispatch(alarm: Alarm, old_state: str, new_state: str, reason: str) -> None:
        original(alarm, old_state, new_state, reason)
        name = alarm.get("AlarmName", "")
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        detail = {
            "alarmName": name,
            "state": {"value": new_state, "reason": reason, "timestamp": moment},
            "previousState": {"value": old_state},
        }
        arn = f"arn:aws:cloudwatch:{gateway.REGION}:{gateway.ACCOUNT}:alarm:{name}"
        eventbridge.publish("aws.cloudwatch", "CloudWatch Alarm State Change", [arn], detail)

    return dispatch
