from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from botocore.stub import Stubber

from cli import outputs as cli_outputs
from cli.errors import CliError
from cli.session import Session, session
from tests.smoke_aws import __main__ as smoke
from tests.smoke_aws.environment import Environment
from tests.smoke_aws.findings import CHECKS, Check, Finding, Refuted, Settled, Unknown, settle

DOCUMENT = Path(__file__).parents[1] / "docs/unproved.md"
ROW = re.compile(r"^\| (?P<id>[A-E]\d+) .*\| (?P<settled>[^|]+) \|$", re.MULTILINE)


@pytest.fixture
def here() -> Session:
    return session("local", "flights")


@pytest.fixture
def environment(here: Session) -> Environment:
    return Environment(here)


def test_every_assumption_that_the_document_calls_observed_has_a_check_and_no_other() -> None:
    rows = {row["id"]: row["settled"] for row in ROW.finditer(DOCUMENT.read_text())}
    assert len(rows) > 20
    assert {name for name, settled in rows.items() if "observed" in settled} == set(CHECKS)


def test_a_check_that_raises_leaves_its_assumption_unknown(environment: Environment) -> None:
    def look(_: Environment) -> Finding:
        raise KeyError("nothing of the sort")

    assert settle(Check("Z1", look), environment) == Unknown(
        "it could not be looked at: KeyError: 'nothing of the sort'"
    )


def test_a_call_that_aws_refuses_is_told_by_name(environment: Environment) -> None:
    with Stubber(environment.session.client("cloudwatch")) as cloudwatch:
        cloudwatch.add_client_error("list_metrics", "AccessDenied", "not for you")
        found = settle(CHECKS["D3"], environment)
    assert found == Unknown("it could not be looked at: the call ListMetrics: AccessDenied: not for you")


def test_the_laptop_does_not_answer_for_aws(environment: Environment) -> None:
    found = settle(CHECKS["D4"], environment)
    assert found == Unknown("this is the laptop, and only AWS can tell: it speaks plain HTTP")


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, here: Session) -> dict[str, Check]:
    """No check but those that the test puts in, on a deployed laptop."""
    checks: dict[str, Check] = {}
    monkeypatch.setattr(smoke, "CHECKS", checks)
    monkeypatch.setattr(smoke, "session", lambda env, workload: here)
    monkeypatch.setattr(cli_outputs, "outputs", lambda here, needed=(): {})
    return checks


def test_a_refuted_assumption_ends_with_1_after_a_sorted_table(
    only: dict[str, Check], capsys: pytest.CaptureFixture[str]
) -> None:
    only["B2"] = Check("B2", lambda _: Refuted("not so\nat all"))
    only["A1"] = Check("A1", lambda _: Settled("so it is"))
    assert smoke.run(["--env", "local"]) == 1
    told = capsys.readouterr()
    heading, first, second = (line.split(maxsplit=2) for line in told.out.splitlines())
    assert heading == ["id", "verdict", "evidence"]
    assert first == ["A1", "settled", "so it is"]
    assert second == ["B2", "refuted", "not so at all"]
    assert smoke.LAPTOP in told.err


def test_what_is_unknown_ends_with_0_and_the_report_can_be_json(
    only: dict[str, Check], capsys: pytest.CaptureFixture[str]
) -> None:
    only["A1"] = Check("A1", lambda _: Unknown("not yet"))
    assert smoke.run(["--env", "local", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"id": "A1", "verdict": "unknown", "evidence": "not yet"}]


def test_an_environment_that_is_not_deployed_ends_with_2(
    only: dict[str, Check], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(here: Session, needed: object = ()) -> dict[str, str]:
        raise CliError("there is no output ApiUrl", "the stack serving", "deploy")

    monkeypatch.setattr(cli_outputs, "outputs", missing)
    assert smoke.run(["--env", "local"]) == 2
    assert "there is no output ApiUrl" in capsys.readouterr().err
