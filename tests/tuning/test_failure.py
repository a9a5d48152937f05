"""How the SDK's child tells what went wrong, so that the command line can say what to do about it."""

from __future__ import annotations

import io
import json
import sys

import pytest
from botocore.exceptions import ClientError

import tuning.__main__ as child
from tuning.plan import Range, read
from tuning.request import RequestError


def test_a_refusal_of_aws_is_told_by_its_code_and_reason() -> None:
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "CreateTrainingJob")
    assert child.failure(refused) == {"problem": "AccessDenied: not you", "code": "AccessDenied"}


def test_any_other_error_is_told_by_its_own_words() -> None:
    told = child.failure(RequestError("deploy the pipeline again"))
    assert told == {"problem": "deploy the pipeline again", "code": "RequestError"}


def test_a_failure_ends_in_one_line_of_json_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an environment without the SDK
    monkeypatch.setitem(sys.modules, "tuning.jobs", None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("{}"))
    for name in child.SETTINGS:
        monkeypatch.setenv(name, "")
    # When it is started, then the last line says what is missing
    assert child.run() == 1
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["code"] == "ModuleNotFoundError"


def test_a_plan_is_read_whole() -> None:
    ranges = [{"name": "hidden", "values": ["64"]}, {"name": "dropout", "low": 0, "high": 0.4}]
    search = {
        "metric": "m", "direction": "Maximize", "trials": 3, "parallel": 2, "seed": 7, "ranges": ranges
    }  # fmt: skip
    plan = {"name": "n", "definition": "{}", "run": "r", "bucket": "b", "prefix": "p", "region": "eu-west-1"}
    found = read({**plan, "search": search})
    assert found.folder == "s3://b/p"
    assert found.search is not None
    assert found.search.ranges == (Range(name="hidden", values=("64",)), Range(name="dropout", high=0.4))
    assert read(plan).search is None
