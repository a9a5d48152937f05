"""cdk-nag and cfn-lint find nothing that is not acknowledged, and nothing is acknowledged in vain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cdk_nag import AwsSolutionsChecks
from cfnlint.config import ConfigMixIn  # type: ignore[import-untyped]
from cfnlint.runner import Runner  # type: ignore[import-untyped]

from infra.constructs import acknowledge
from tests.infra.conftest import FULL, Synthesis, settings_of, synthesise

Finding = tuple[str, str]
"""A rule and the path of the resource it was found on."""


def lint(templates: Sequence[Path]) -> list[Any]:
    """What cfn-lint finds; its rules are loaded once for all templates, which is half of the work."""
    return list(Runner(ConfigMixIn([], regions=["us-east-1"], templates=list(map(str, templates)))).run())


def findings(synthesis: Synthesis) -> set[Finding]:
    report = AwsSolutionsChecks(synthesis.app).validate_scope(synthesis.app)
    return {
        (violation.rule_name, str(resource.construct_path))
        for violation in report.violations
        for resource in violation.violating_resources
    }


def test_given_an_environment_when_checked_by_nag_then_nothing_is_found(each: Synthesis) -> None:
    assert findings(each) == set()


@pytest.mark.parametrize("env", [FULL, "prod"])
def test_given_an_acknowledgement_then_there_is_a_finding_for_it(
    env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: set[Finding] = set()

    def remember(construct: object, id: str, reason: str) -> None:
        assert len(reason.split()) >= 4, f"{id} needs a reason"
        accepted.add((id, construct.node.path))  # type: ignore[attr-defined]

    monkeypatch.setattr(acknowledge, "_accept", remember)
    found = findings(synthesise(settings_of(env), tmp_path / "cdk.out"))
    unneeded = {
        (rule, path)
        for rule, path in accepted
        if not any(rule == other and where.startswith(f"{path}/") for other, where in found)
    }
    assert unneeded == set()


@pytest.fixture(scope="session")
def clean() -> set[str]:
    """Texts of templates in which lint found nothing: environments have some in common."""
    return set()


def test_given_an_environment_when_linted_then_nothing_is_found(each: Synthesis, clean: set[str]) -> None:
    texts = {file: file.read_text() for file in sorted(each.folder.glob("*.template.json"))}
    assert len(texts) > 5
    found = lint([file for file, text in texts.items() if text not in clean])
    assert [f"{one.filename}: {one.rule.id} {one.message} at {one.path}" for one in found] == []
    clean.update(texts.values())


def test_given_an_action_that_is_none_then_lint_finds_it(dev: Synthesis, tmp_path: Path) -> None:
    (good,) = dev.folder.glob("*-pipeline.template.json")
    flawed = tmp_path / "flawed.template.json"
    flawed.write_text(good.read_text().replace("s3:GetObject", "s3:FetchObject"))
    found = lint([good, flawed])
    assert any("fetchobject" in match.message for match in found)
    assert {match.filename for match in found} == {str(flawed)}
