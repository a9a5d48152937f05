"""Writes dashboard.json by the types that Grafana's makers publish: run it after each change of it."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

FILE = Path(__file__).with_name("dashboard.json")
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
MINE = 'namespace=~"$namespace",instance=~"$instance"'
"""Processes of the chosen namespaces and workloads."""
PREDICTIONS = f'{MINE},route=~"/invocations|/v[12].*"'
"""The same without probes and scrapes. alerts.yaml draws the same line."""
WINDOW = "[$__rate_interval]"
WHOLE, NUMBER = 24, 4
"""Widths on Grafana's grid."""
BUDGET = 0.005
"""The share of predictions that may fail, as in alerts.yaml."""


def build() -> Dashboard:
    """Return the dashboard: what to look at first is at the top."""
    dashboard = (
        Dashboard("Millrace")
        .uid("millrace-server")
        .description("Millrace's servers: traffic, latency, errors, the model, and the processes.")
        .tags(["millrace"])
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
    )
    for variable in _variables():
        dashboard.with_variable(variable)
    _show_glance(dashboard)
    _show_traffic(dashboard)
    _show_latency(dashboard)
    _show_errors(dashboard)
    _show_model(dashboard)
    _show_process(dashboard)
    return dashboard


def _variables() -> list[DatasourceVariable | QueryVariable]:
    model = 'millrace_model_info{namespace=~"$namespace"'
    return [
        DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        # ".*" also takes servers outside Kubernetes, which have no namespace.
        _variable("namespace", "Namespace", "label_values(millrace_model_info, namespace)").all_value(".*"),
        _variable("workload", "Workload", f"label_values({model}}}, workload)").all_value(".*"),
        # No value of its own for "All": the list itself keeps to the chosen workloads.
        _variable("instance", "Pod", f'label_values({model},workload=~"$workload"}}, instance)'),
    ]


def _variable(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _show_glance(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("At a glance"))
    requests = f"sum(rate(millrace_requests_total{{{PREDICTIONS}}}{WINDOW}))"
    dashboard.with_panel(_number("Predictions per second", "reqps", requests))
    dashboard.with_panel(_number("Failed", "percentunit", _failed(), warn=BUDGET))
    dashboard.with_panel(_number("99 % within", "s", _quantile(0.99), warn=0.25))
    dashboard.with_panel(
        _number("Records per second", "short", f"sum(rate(millrace_records_total{{{MINE}}}{WINDOW}))")
    )
    age = f"max(millrace_model_age_seconds{{{MINE}}})"
    dashboard.with_panel(_number("Age of the model", "s", age, warn=45 * 86400))
    up = 'sum(up{job=~"millrace.*",namespace=~"$namespace"})'
    dashboard.with_panel(_number("Servers up", "short", up))
    ringing = (
        'count by (alertname) (ALERTS{alertname=~"Millrace.*",alertstate="firing",namespace=~"$namespace"})'
    )
    dashboard.with_panel(_graph("Alerts that ring", "short", WHOLE, (ringing, "{{alertname}}")).height(4))


def _show_traffic(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("Traffic"))
    by = "sum by ({}) (rate(millrace_requests_total{{" + MINE + "}}" + WINDOW + "))"
    status = _graph("Requests by status", "reqps", 8, (by.format("status"), "{{status}}"))
    dashboard.with_panel(status.stacking(StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30))
    dashboard.with_panel(_graph("Requests by route", "reqps", 8, (by.format("route"), "{{route}}")))
    records = f"sum by (instance) (rate(millrace_records_total{{{MINE}}}{WINDOW}))"
    dashboard.with_panel(_graph("Records per second", "short", 8, (records, "{{instance}}")))


def _show_latency(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("Latency"))
    shares = [(_quantile(share), f"p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)]
    dashboard.with_panel(_graph("Predictions", "s", 8, *shares))
    dashboard.with_panel(_graph("p99 by route", "s", 8, (_quantile(0.99, "route"), "{{route}}")))
    dashboard.with_panel(_graph("p99 by pod", "s", 8, (_quantile(0.99, "instance"), "{{instance}}")))


def _show_errors(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("Errors"))
    errors = f"sum by (route, status) (rate(millrace_errors_total{{{MINE}}}{WINDOW}))"
    dashboard.with_panel(_graph("Refused and failed", "reqps", 8, (errors, "{{status}} {{route}}")))
    pods = f'sum by (instance) (rate(millrace_errors_total{{{PREDICTIONS},status=~"5.."}}{WINDOW}))'
    dashboard.with_panel(_graph("Failed by pod", "reqps", 8, (pods, "{{instance}}")))
    dashboard.with_panel(_graph("Failed, of all predictions", "percentunit", 8, (_failed(), "failed")))


def _show_model(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("Model"))
    versions = f"count by (workload, version) (millrace_model_info{{{MINE}}})"
    dashboard.with_panel(_graph("Pods by version", "short", 6, (versions, "{{workload}} {{version}}")))
    age = f"max by (instance) (millrace_model_age_seconds{{{MINE}}})"
    dashboard.with_panel(_graph("Age", "s", 6, (age, "{{instance}}")))
    doubtful = (
        f"sum(rate(millrace_warnings_total{{{MINE}}}{WINDOW}))"
        f" / sum(rate(millrace_records_total{{{MINE}}}{WINDOW}))"
    )
    dashboard.with_panel(_graph("Doubtful fields for each record", "short", 6, (doubtful, "fields")))
    broken = f"sum by (instance) (millrace_bundle_broken{{{MINE}}})"
    refused = f"sum(increase(millrace_bundle_refused_total{{{MINE}}}{WINDOW}))"
    lines = ((broken, "broken, {{instance}}"), (refused, "refused"))
    dashboard.with_panel(_graph("Newest bundle broken", "short", 6, *lines))


def _show_process(dashboard: Dashboard) -> None:
    dashboard.with_row(Row("Process"))
    memory = f"process_resident_memory_bytes{{{MINE}}}"
    dashboard.with_panel(_graph("Memory", "bytes", 8, (memory, "{{instance}}")))
    processor = f"rate(process_cpu_seconds_total{{{MINE}}}{WINDOW})"
    dashboard.with_panel(_graph("Processor (cores)", "short", 8, (processor, "{{instance}}")))
    age = f"time() - process_start_time_seconds{{{MINE}}}"
    dashboard.with_panel(_graph("Since its start", "s", 8, (age, "{{instance}}")))


def _quantile(share: float, *by: str) -> str:
    grouped = ", ".join([*by, "le"])
    return (
        f"histogram_quantile({share}, sum by ({grouped}) "
        f"(rate(millrace_request_seconds_bucket{{{PREDICTIONS}}}{WINDOW})))"
    )


def _failed() -> str:
    """Return the share of predictions answered 5xx: 0 where none failed, nothing where none were asked."""
    failed = f'sum(rate(millrace_requests_total{{{PREDICTIONS},status=~"5.."}}{WINDOW}))'
    return f"({failed} or vector(0)) / sum(rate(millrace_requests_total{{{PREDICTIONS}}}{WINDOW}))"


def _number(title: str, unit: str, expression: str, *, warn: float | None = None) -> Stat:
    steps = [Threshold(value=None, color="green")]
    if warn is not None:
        steps.append(Threshold(value=warn, color="red"))
    return (
        Stat()
        .title(title)
        .unit(unit)
        .datasource(SOURCE)
        .with_target(_query(expression, title))
        .graph_mode(BigValueGraphMode.AREA)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .span(NUMBER)
        .height(4)
    )


def _graph(title: str, unit: str, width: int, *lines: tuple[str, str]) -> TimeSeries:
    """Return a graph of ``lines``: expression and legend of each."""
    graph = (
        TimeSeries()
        .title(title)
        .unit(unit)
        .datasource(SOURCE)
        .axis_soft_min(0)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .span(width)
        .height(8)
    )
    for number, (expression, legend) in enumerate(lines):
        graph.with_target(_query(expression, legend).ref_id("ABC"[number]))
    return graph


def _query(expression: str, legend: str) -> Dataquery:
    return Dataquery().datasource(SOURCE).expr(expression).legend_format(legend).range().ref_id("A")


def text() -> str:
    """Return the dashboard as Grafana imports it."""
    dashboard = build().build()
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(dashboard)}\n"


if __name__ == "__main__":
    FILE.write_text(text())
