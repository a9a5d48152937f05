"""cdk-nag and cfn-lint find nothing that is not acknowledged, and nothing is acknowledged in vain."""

from __future__ import annotations

from pathlib import Path

import pytest
from cdk_nag import AwsSolutionsChecks
from cfnlint.api import lint_file  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from infra import settings
from infra.constructs import acknowledge
from tests.infra.conftest import Synthesis, synthesise

Finding = tuple[str, str]
"""A rule and the path of the resource it was found on."""

REGION = ManualArgs(regions=["us-east-1"])


def findings(synthesis: Synthesis) -> set[Finding]:
    report = AwsSolutionsChecks(synthesis.app).validate_scope(synthesis.app)
    return {
        (violation.rule_name, str(resource.construct_path))
        for violation in report.violations
        for resource in violation.violating_resources
    }


def test_given_an_environment_when_checked_by_nag_then_nothing_is_found(each: Synthesis) -> None:
    assert findings(each) == set()


@pytest.mark.parametrize("env", ["dev", "prod"])
def test_given_an_acknowledgement_then_there_is_a_finding_for_it(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: set[Finding] = set()

    def remember(construct: object, id: str, reason: str) -> None:
        assert len(reason.split()) >= 4, f"{id} needs a reason"
        accepted.add((id, construct.node.path))  # type: ignore[attr-defined]

    monkeypatch.setattr(acknowledge, "_accept", remember)
    found = findings(synthesise(settings.load(env), tmp_path / "cdk.out"))
    unneeded = {
        (rule, path)
        for rule, path in accepted
        if not any(rule == other and where.startswith(f"{path}/") for other, where in found)
    }
    assert unneeded == set()


def test_given_an_environment_when_linted_then_nothing_is_found(each: Synthesis) -> None:
    for file in sorted(each.folder.glob("*.template.json")):
        found = lint_file(file, REGION)
        assert [f"{match.rule.id} {match.message} at {match.path}" for match in found] == []


def test_given_an_action_that_is_none_then_lint_finds_it(dev: Synthesis, tmp_path: Path) -> None:
    template = next(iter(sorted(dev.folder.glob("*-pipeline.template.json")))).read_text()
    flawed = tmp_path / "flawed.template.json"
    flawed.write_text(template.replace("s3:GetObject", "s3:FetchObject"))
    assert any("fetchobject" in match.message for match in lint_file(flawed, REGION))
