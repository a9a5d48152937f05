from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from botocore.stub import Stubber
from moto import mock_aws

from cli import checks, main
from cli.api import Answer
from cli.session import Session, session


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """The environment dev, on an AWS that moto stands in for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield session("dev")


def levels(found: checks.Checks) -> list[str]:
    return [check.level for check in found]


def test_an_account_without_bootstrap_fails_with_the_command_that_mends_it(here: Session) -> None:
    (check,) = checks.bootstrap(here)
    assert (check.level, check.remedy) == ("fail", "run: cdk bootstrap")


@pytest.mark.parametrize(("version", "level"), [("21", "ok"), ("5", "fail")])
def test_the_bootstrap_must_be_new_enough(here: Session, version: str, level: str) -> None:
    here.client("ssm").put_parameter(Name=checks.BOOTSTRAP, Value=version, Type="String")
    assert levels(checks.bootstrap(here)) == [level]


@pytest.mark.parametrize(
    ("role", "stack_sets_it", "level"), [("arn:role", False, "ok"), ("", True, "ok"), ("", False, "fail")]
)
def test_the_gateway_s_logs_need_a_role_of_the_account(role: str, stack_sets_it: bool, level: str) -> None:
    settings = dataclasses.replace(session("dev").settings, cloudwatch_role=stack_sets_it, region="us-east-1")
    here = Session(settings, "flights")
    with Stubber(here.client("apigateway")) as stub:
        stub.add_response("get_account", {"cloudwatchRoleArn": role} if role else {})
        assert levels(checks.gateway_role(here)) == [level]


def test_credentials_are_named(here: Session) -> None:
    (check,) = checks.credentials(here)
    assert check.level == "ok"
    assert "123456789012" in check.found


@pytest.mark.parametrize(("value", "level"), [(None, "fail"), (0.0, "fail"), (2.0, "ok")])
def test_a_quota_is_compared_with_what_a_job_needs(value: float | None, level: str) -> None:
    check = checks.quota_check("ml.x for training job usage", "training", value, 2, "us-east-1")
    assert check.level == level
    assert bool(check.remedy) == (level != "ok")


def test_quotas_are_named_as_service_quotas_names_them(here: Session) -> None:
    training, packaging = here.settings.training, here.settings.packaging
    kind = "spot training job" if training.spot else "training job"
    assert checks.instances(here) == {
        f"{training.instance} for {kind} usage": "training",
        f"{packaging.instance} for processing job usage": "packaging",
    }


def test_what_may_not_be_checked_is_a_warning(here: Session) -> None:
    def refused(_: Session) -> checks.Checks:
        here.client("sts").assume_role(RoleArn="x", RoleSessionName="y")
        return ()

    (check,) = checks.guarded("role", refused, here)
    assert check.level == "warn"
    assert check.found.startswith("could not be checked: ")


def test_java_node_and_cdk_are_found_where_the_packages_put_them() -> None:
    here = session("local")
    found = [*checks.programs(here), *checks.cdk_program(here)]
    assert [(check.name, check.level) for check in found] == [("java", "ok"), ("node", "ok"), ("cdk", "ok")]


def test_doctor_ends_with_1_where_a_check_fails(
    here: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "HERE", {})
    monkeypatch.setattr(checks, "ACCOUNT", {"CDK bootstrap": checks.bootstrap})
    assert main.run(["doctor", "--env", "dev"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "ok    credentials: arn:aws:sts::123456789012:user/moto in us-east-1",
        f"FAIL  CDK bootstrap: no parameter {checks.BOOTSTRAP}",
        "      → run: cdk bootstrap",
    ]
    assert "problem: 1 of the checks failed" in told.err


def test_an_account_that_cannot_be_reached_is_not_checked_further(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setattr(checks, "HERE", {})
    assert main.run(["doctor", "--env", "dev"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "FAIL  region: no region is set",
        "      → set AWS_REGION, or region in environments/dev.toml",
    ]


@pytest.mark.parametrize(("status", "level", "remedy"), [(200, "ok", ""), (404, "warn", "MILLRACE_PORT")])
def test_another_program_on_the_port_is_told_from_the_emulator(
    monkeypatch: pytest.MonkeyPatch, status: int, level: str, remedy: str
) -> None:
    monkeypatch.setattr("cli.api.call", lambda url, headers: Answer(status, "a page"))
    (found,) = checks.emulator(session("local"))
    assert found.level == level
    assert remedy in found.remedy
