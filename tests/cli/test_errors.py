from __future__ import annotations

import socket

import pytest
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from cli import main
from cli.errors import CliError, explain
from contract.errors import ContractError

REFUSAL = {"Error": {"Code": "AccessDeniedException", "Message": "not allowed to states:StartExecution"}}


def test_root_cause_and_remedy_come_last_whole_and_without_boxes() -> None:
    told = str(CliError("line one\n\tline two: ✗", "the gate", "lower the floor"))
    assert told == "where:   the gate\nproblem: line one\n\tline two: ✗\nremedy:  lower the floor"


def test_a_refused_call_names_itself_its_reason_and_a_remedy() -> None:
    told = explain(aws.ClientError(REFUSAL, "StartExecution"))
    assert told is not None
    assert told.problem == "AccessDeniedException: not allowed to states:StartExecution"
    assert told.where == "the call StartExecution"
    assert "millrace doctor" in told.remedy


def test_a_contract_error_keeps_file_key_and_remedy() -> None:
    told = explain(ContractError("contract.toml", "model.floor.auc", "2.0 is above 1", "Write 0–1."))
    assert told == CliError("2.0 is above 1", "contract.toml: model.floor.auc", "Write 0–1.")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (aws.NoCredentialsError(), "sign in"),
        (aws.NoRegionError(), "AWS_REGION"),
        (aws.EndpointConnectionError(endpoint_url="https://states.eu-west-1.amazonaws.com"), "network"),
        (aws.EndpointConnectionError(endpoint_url="http://127.0.0.1:4566"), "millrace up"),
        (ResponseParserError("Unable to parse response: <html>"), "MILLRACE_PORT"),
    ],
)
def test_what_botocore_raises_gets_a_remedy(error: Exception, remedy: str) -> None:
    told = explain(error)
    assert told is not None
    assert remedy in told.remedy


def test_a_slip_of_our_own_is_not_hidden() -> None:
    assert explain(KeyError("x")) is None
    assert explain(ValueError("x")) is None


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """MILLRACE_PORT is a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MILLRACE_PORT", str(probe.getsockname()[1]))
    monkeypatch.delenv("MILLRACE_ENV", raising=False)


@pytest.mark.parametrize("command", ["ingest", "train", "release", "predict", "token", "outputs", "status"])
@pytest.mark.usefixtures("closed_port")
def test_commands_say_that_the_local_environment_is_not_running(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([command]) == 1
    told = capsys.readouterr().err
    assert "problem: the local environment is not running" in told
    assert told.endswith("remedy:  start it: millrace up\n")


def test_an_unknown_environment_is_told_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status", "--env", "moon"]) == 1
    assert "Choose one of: dev, local, prod, staging" in capsys.readouterr().err
