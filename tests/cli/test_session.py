from __future__ import annotations

import pytest

from cli.errors import CliError
from cli.session import chosen, only, session


def test_environment_is_the_option_then_the_variable_then_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_ENV", raising=False)
    assert chosen(None) == "local"
    monkeypatch.setenv("MILLRACE_ENV", "staging")
    assert chosen(None) == "staging"
    assert chosen("dev") == "dev"


def test_the_only_workload_need_not_be_named() -> None:
    assert only(("flights",), None, "dev") == "flights"
    assert only(("flights", "loans"), "loans", "dev") == "loans"


def test_one_of_several_workloads_must_be_named() -> None:
    with pytest.raises(CliError, match="choose one with --workload: flights, loans"):
        only(("flights", "loans"), None, "dev")


def test_a_workload_that_the_environment_lacks_is_refused() -> None:
    with pytest.raises(CliError, match="there is no workload 'trains'"):
        only(("flights",), "trains", "dev")


def test_local_clients_go_to_the_emulator_with_its_own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_PORT", "4599")
    here = session("local")
    assert here.client("s3").meta.endpoint_url == "http://127.0.0.1:4599"
    assert here.aws.get_credentials().access_key == "test"
    assert here.client("s3") is here.client("s3")


@pytest.mark.parametrize(
    ("set_to", "region"),
    [
        ({"AWS_REGION": "eu-central-1"}, "eu-central-1"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-central-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ({}, None),
    ],
)
def test_given_a_variable_of_aws_then_it_names_the_region_as_to_aws_s_own_command_line(
    monkeypatch: pytest.MonkeyPatch, set_to: dict[str, str], region: str | None
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    for name, value in set_to.items():
        monkeypatch.setenv(name, value)
    assert session("dev").aws.region_name == region


def test_flags_name_what_is_not_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_ENV", raising=False)
    assert session("local").flags == ""
    assert session("dev").flags == " --env dev"
    monkeypatch.setenv("MILLRACE_ENV", "dev")
    assert session("dev").flags == " --env dev"
    assert session("local").flags == " --env local"
