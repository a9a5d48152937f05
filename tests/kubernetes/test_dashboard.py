"""Grafana's dashboard: made by Grafana's own types, and all that it asks is what Prometheus understands.

Grafana itself is not run here: how the panels look is not tested.
"""

import json
import runpy
from itertools import combinations
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.kubernetes.tools import MONITORING, promtool, rule_groups, write_rules

FILE = MONITORING / "dashboard.json"
CHOSEN = {"$namespace": ".*", "$instance": ".*", "$__rate_interval": "1m"}
"""What Grafana puts in for its variables."""


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions(chosen: dict[str, str] = CHOSEN) -> list[str]:
    """Return what the panels ask Prometheus, with Grafana's variables filled in."""
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable, value in chosen.items():
        asked = [expression.replace(variable, value) for expression in asked]
    return asked


def test_given_the_source_when_it_writes_the_dashboard_then_that_is_the_file() -> None:
    assert runpy.run_path(str(MONITORING / "dashboard.py"))["text"]() == FILE.read_text()


def test_given_the_file_when_grafanas_types_read_it_then_nothing_in_it_is_unknown_to_them() -> None:
    register_default_plugins()
    read = Dashboard.from_json(dashboard())
    assert json.loads(JSONEncoder().encode(read)) == dashboard()


def test_given_the_panels_when_prometheus_parses_their_questions_then_all_are_sound(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": asked} for n, asked in enumerate(expressions())]
    assert "$" not in str(rules)
    promtool("check", "rules", write_rules(tmp_path, [{"name": "panels", "rules": rules}]))


def test_given_the_panels_when_laid_out_then_none_hides_another() -> None:
    places = [(panel["id"], panel["gridPos"]) for panel in dashboard()["panels"]]
    assert len({number for number, _ in places}) == len(places)
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, f"panels {one} and {other} overlap"
        assert a["x"] + a["w"] <= 24


def test_given_alerts_and_dashboard_when_they_count_predictions_then_they_count_the_same_routes() -> None:
    routes = 'route=~"/invocations|/v[12].*"'
    counted = [rule["expr"] for group in rule_groups() for rule in group["rules"]]
    assert all(
        routes in asked for asked in counted if "millrace_requests_total" in asked or "_bucket" in asked
    )
    assert all(routes in asked for asked in expressions() if "_bucket" in asked)
