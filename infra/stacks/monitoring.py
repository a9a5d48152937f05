"""What the operators see and are told: a dashboard, and alarms that reach the environment's topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from infra.constructs.api import ENDPOINT, NAMESPACE, STAGE, failures, parts
from infra.settings import Settings
from infra.stacks.endpoint import VARIANT
from infra.stacks.foundation import Foundation
from infra.stacks.serving import ALIAS

WHOLE, HALF, THIRD = 24, 12, 8
"""Widths on the dashboard's grid."""
HEIGHT = 6
MINUTE = cdk.Duration.minutes(1)
PREDICT, FORWARD = "predict", "forward"
"""The functions that callers may reach: each has its log and its metrics under this name."""

VERSIONS = (
    'filter message = "request" and ispresent(version)',
    "stats count(*) as requests, min(@timestamp) as first_answer, max(@timestamp) as last_answer by version",
    "sort last_answer desc",
)
"""Which models answered, since when and how often."""


class Monitoring(cdk.Stack):
    """A dashboard and an alarm for each thing that needs somebody, of one workload."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: Settings,
        workload: str,
        *,
        foundation: Foundation,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, **kwargs)
        self.settings, self.workload = settings, workload
        self.topic = foundation.topic
        self.parts = parts(settings)
        self._watch_callers()
        self._watch_machines()
        self._watch_dead_letters()
        dashboard = self._build_dashboard()
        cdk.CfnOutput(self, "Dashboard", value=dashboard.dashboard_name)

    # ---- alarms -------------------------------------------------------------------------------

    def _watch_callers(self) -> None:
        for function in self._functions():
            title = "Throttles" if function == PREDICT else f"{function.title()}Throttles"
            metric = self._function(function, "Throttles")
            self._alarm(title, metric, 1, "Lambda refuses requests: raise its quota.")
        for part in self.parts:
            self._watch_api(part)

    def _watch_api(self, part: str) -> None:
        limit, title = self.settings.alarms.latency_ms, part.title()
        function = FORWARD if part == ENDPOINT else PREDICT
        self._alarm(
            f"{title}Errors",
            self._model(failures(part)),
            1,
            f"The API answers 5xx though a model is released: read the {function} function's log.",
        )
        self._alarm(
            f"{title}Latency",
            self._api("Latency", "p99", part),
            limit,
            f"One request in a hundred waits {limit} ms or more: see the dashboard.",
            periods=5,
        )

    def _watch_machines(self) -> None:
        for machine in ("train", "release"):
            for outcome in ("Failed", "TimedOut"):
                self._alarm(
                    f"{machine.title()}{outcome}",
                    self._executions(machine, f"Executions{outcome}"),
                    1,
                    f"A run of {machine} did not end well: `millrace status` says where and why.",
                )

    def _watch_dead_letters(self) -> None:
        self._alarm(
            "DeadLetters",
            self._dead_letters(),
            1,
            "An approval did not reach the release: read the queue, then `millrace release`.",
        )

    def _alarm(
        self, id: str, metric: cloudwatch.IMetric, threshold: float, description: str, *, periods: int = 1
    ) -> None:
        """Ring when ``metric`` reaches ``threshold`` in more than half of ``periods`` minutes."""
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_name=self.settings.name(self.workload, id.lower()),
            alarm_description=description,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=periods // 2 + 1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))

    # ---- dashboard ----------------------------------------------------------------------------

    def _build_dashboard(self) -> cloudwatch.Dashboard:
        dashboard = cloudwatch.Dashboard(
            self,
            "Overview",
            dashboard_name=self.settings.name(self.workload),
            default_interval=cdk.Duration.days(1),
        )
        dashboard.add_widgets(
            _graph("Traffic", THIRD, [*self._apis("Count"), self._model("Records")]),
            _graph("Latency (ms)", THIRD, [*self._apis("Latency", "p50"), *self._apis("Latency", "p99")]),
            _graph("Refused and failed", THIRD, self._refusals()),
        )
        dashboard.add_widgets(
            _graph("Pipeline runs", THIRD, self._outcomes("train")),
            _graph("Releases", THIRD, [*self._outcomes("release"), self._dead_letters()]),
            _graph("Age of the model (days)", THIRD, [self._age()]),
        )
        dashboard.add_widgets(
            _graph("Doubtful values", THIRD, [self._model("Warnings")]),
            self._build_versions(),
        )
        if self.settings.has_endpoint:
            self._add_endpoint(dashboard)
        return dashboard

    def _add_endpoint(self, dashboard: cloudwatch.Dashboard) -> None:
        latencies = [self._endpoint("ModelLatency", "p50"), self._endpoint("ModelLatency", "p99")]
        failed = [self._endpoint(name) for name in ("Invocation4XXErrors", "Invocation5XXErrors")]
        hosts = [self._hosts("CPUUtilization"), self._hosts("MemoryUtilization")]
        dashboard.add_widgets(
            _graph("Endpoint: requests", THIRD, [self._endpoint("Invocations"), *failed]),
            _graph("Endpoint: latency (µs)", THIRD, [*latencies, self._endpoint("OverheadLatency", "p99")]),
            _graph("Endpoint: load of its hosts (%)", THIRD, hosts),
        )

    def _build_versions(self) -> cloudwatch.LogQueryWidget:
        return cloudwatch.LogQueryWidget(
            title="Model versions in service",
            log_group_names=[self.settings.logs(self.workload, name) for name in self._functions()],
            query_lines=list(VERSIONS),
            width=WHOLE - THIRD,
            height=HEIGHT,
        )

    def _functions(self) -> tuple[str, ...]:
        """The functions that callers reach."""
        settings = self.settings
        reached = {PREDICT: settings.function_answers, FORWARD: settings.has_endpoint}
        return tuple(name for name, is_reached in reached.items() if is_reached)

    def _refusals(self) -> list[cloudwatch.IMetric]:
        return [
            *self._apis("4XXError"),
            *self._apis("5XXError"),
            *(self._function(name, what) for name in self._functions() for what in ("Errors", "Throttles")),
        ]

    def _outcomes(self, machine: str) -> list[cloudwatch.IMetric]:
        outcomes = ("Succeeded", "Failed", "TimedOut", "Aborted")
        return [self._executions(machine, f"Executions{outcome}") for outcome in outcomes]

    def _age(self) -> cloudwatch.MathExpression:
        """Days since the data of the model in service were prepared, as its last answer told."""
        return cloudwatch.MathExpression(
            expression="FILL(age, REPEAT) / 24",
            using_metrics={"age": self._model("ModelAge", "Maximum")},
            label="days",
            period=MINUTE,
        )

    # ---- metrics ------------------------------------------------------------------------------

    def _apis(self, name: str, statistic: str = "Sum") -> list[cloudwatch.IMetric]:
        return [self._api(name, statistic, part) for part in self.parts]

    def _api(self, name: str, statistic: str = "Sum", part: str = "") -> cloudwatch.Metric:
        dimensions = {"ApiName": self.settings.name(self.workload, part), "Stage": STAGE}
        return _metric("AWS/ApiGateway", name, statistic, dimensions)

    def _function(self, name: str, metric: str) -> cloudwatch.Metric:
        """A metric of a function; of predict, what the alias meets: releases call other versions, too."""
        function = self.settings.name(self.workload, name)
        resource = {"Resource": f"{function}:{ALIAS}"} if name == PREDICT else {}
        return _metric("AWS/Lambda", metric, "Sum", {"FunctionName": function, **resource})

    def _endpoint(self, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return _metric("AWS/SageMaker", name, statistic, self._variant())

    def _hosts(self, name: str) -> cloudwatch.Metric:
        return _metric("/aws/sagemaker/Endpoints", name, "Average", self._variant())

    def _variant(self) -> dict[str, str]:
        return {"EndpointName": self.settings.name(self.workload), "VariantName": VARIANT}

    def _model(self, name: str, statistic: str = "Sum") -> cloudwatch.Metric:
        """A metric that each function writes of what it answered, or one counted in an API's access log."""
        dimensions = {"Environment": self.settings.env, "Workload": self.workload}
        return _metric(NAMESPACE, name, statistic, dimensions)

    def _executions(self, machine: str, name: str) -> cloudwatch.Metric:
        machine_name = self.settings.name(self.workload, machine)
        arn = f"arn:{self.partition}:states:{self.region}:{self.account}:stateMachine:{machine_name}"
        return _metric("AWS/States", name, "Sum", {"StateMachineArn": arn})

    def _dead_letters(self) -> cloudwatch.Metric:
        queue = self.settings.name(self.workload, "dead-letters")
        return _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", "Maximum", {"QueueName": queue})


def _metric(namespace: str, name: str, statistic: str, dimensions: dict[str, str]) -> cloudwatch.Metric:
    # No label: CDK makes a formula of a labelled metric, and alarms on formulas never ring in the emulator.
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=MINUTE,
    )


def _graph(title: str, width: int, metrics: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, width=width, height=HEIGHT, left=list(metrics))
