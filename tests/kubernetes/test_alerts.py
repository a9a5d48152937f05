"""The alerts ring when they should, and only then; promtool, Prometheus's own tool, judges."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.tools import promtool, rule_groups, write_rules

HERE = Path(__file__).parent
CASES = ("alerts_test.yaml", "alerts_days_test.yaml")


def alerts() -> list[dict[str, Any]]:
    return [rule for group in rule_groups() for rule in group["rules"] if "alert" in rule]


def test_given_the_rules_when_prometheus_reads_them_then_all_are_sound(tmp_path: Path) -> None:
    promtool("check", "rules", write_rules(tmp_path, rule_groups()))


@pytest.mark.parametrize("case", CASES)
def test_given_series_when_the_rules_look_at_them_then_just_the_expected_alerts_ring(
    case: str, tmp_path: Path
) -> None:
    write_rules(tmp_path, rule_groups())
    shutil.copy(HERE / case, tmp_path)
    promtool("test", "rules", tmp_path / case)


def test_given_all_alerts_when_the_cases_are_read_then_each_is_seen_to_ring() -> None:
    cases = [case for file in CASES for case in yaml.safe_load((HERE / file).read_text())["tests"]]
    ringing = str([check["exp_samples"] for case in cases for check in case["promql_expr_test"]])
    assert [rule["alert"] for rule in alerts() if f'alertname="{rule["alert"]}"' not in ringing] == []


def test_given_an_alert_when_the_documentation_is_read_then_it_stands_there() -> None:
    page = (HERE.parents[1] / "docs/kubernetes.md").read_text()
    assert [rule["alert"] for rule in alerts() if f"`{rule['alert']}`" not in page] == []


def test_given_an_alert_when_it_rings_then_it_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert len(rule["annotations"]["runbook"]) > 100, rule["alert"]
        assert "{{ $labels.job }}" in rule["annotations"]["summary"], rule["alert"]
        assert "for" in rule, rule["alert"]
