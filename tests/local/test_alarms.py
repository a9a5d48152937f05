"""Alarms look at their own dimensions and at M of N periods."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.local.conftest import eventually

AWS = Callable[[str], Any]


def alarm(aws: AWS, model: str, **changes: Any) -> str:
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    settings = {
        "AlarmName": name,
        "Namespace": "Tests",
        "MetricName": "Errors",
        "Dimensions": [{"Name": "model", "Value": model}],
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
    aws("cloudwatch").put_metric_alarm(**{**settings, **changes})
    return name


def put(aws: AWS, model: str, value: float, ago: float = 0) -> None:
    point = {
        "MetricName": "Errors",
        "Dimensions": [{"Name": "model", "Value": model}],
        "Value": value,
        "Timestamp": time.time() - ago,
    }
    aws("cloudwatch").put_metric_data(Namespace="Tests", MetricData=[point])


def state(aws: AWS, name: str) -> str:
    found = aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found[0]["StateValue"])


def test_given_errors_of_another_model_when_evaluated_then_only_that_ones_alarm_rings(aws: AWS) -> None:
    mine, other = alarm(aws, "mine"), alarm(aws, "other")

    put(aws, "other", 1)

    eventually(lambda: state(aws, other) == "ALARM")
    eventually(lambda: state(aws, mine) == "OK")


def test_given_one_bad_period_of_three_when_two_are_needed_then_it_stays_quiet_until_the_second(
    aws: AWS,
) -> None:
    name = alarm(aws, "slow", EvaluationPeriods=3, DatapointsToAlarm=2)
    put(aws, "slow", 1)
    eventually(lambda: state(aws, name) == "OK")

    put(aws, "slow", 1, ago=70)

    eventually(lambda: state(aws, name) == "ALARM")


def test_given_a_message_in_a_queue_when_nobody_takes_it_then_the_queues_alarm_rings(aws: AWS) -> None:
    queue = f"dead-letters-{uuid.uuid4().hex[:8]}"
    url = aws("sqs").create_queue(QueueName=queue)["QueueUrl"]
    name = alarm(
        aws,
        "",
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": queue}],
        Statistic="Maximum",
    )

    aws("sqs").send_message(QueueUrl=url, MessageBody="an approval that nobody heard")

    eventually(lambda: state(aws, name) == "ALARM")
