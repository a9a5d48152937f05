"""Replaced parts of the emulator are checked before anything is served."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from local import hooks

owner = types.SimpleNamespace(__name__="ministack.services.glue", start=lambda data: data, script="a b")


def test_given_a_missing_name_when_expected_then_the_error_names_it_and_the_version() -> None:
    with pytest.raises(hooks.HookError, match=r"glue\._gone: no such name.*ministack 1\.5\.33"):
        hooks.expect(owner, "_gone")


def test_given_other_parameters_when_replaced_then_the_error_names_both() -> None:
    with pytest.raises(hooks.HookError, match=r"takes \(data\), expected \(data, context\)"):
        hooks.replace(owner, "start", ("data", "context"), lambda original: original)


def test_given_the_expected_shape_when_replaced_then_the_original_is_wrapped() -> None:
    holder = types.SimpleNamespace(__name__="m", double=lambda value: value * 2)

    hooks.replace(holder, "double", ("value",), lambda original: lambda value: original(value) + 1)

    assert holder.double(3) == 7


def test_given_a_changed_text_when_edited_then_the_error_quotes_what_was_looked_for() -> None:
    with pytest.raises(hooks.HookError, match="expected the text 'x' exactly once"):
        hooks.edit_text(owner, "script", "x", "y")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("services.glue", "_start_job_run"),
        ("services.stepfunctions", "_invoke_aws_sdk_integration"),
        ("services.lambda_svc", "_execute_function_warm"),
        ("services.cloudwatch", "_evaluate_alarm"),
        ("core.lambda_runtime", "_PYTHON_WORKER_SCRIPT"),
    ],
)
def test_given_an_emulator_without_a_name_when_started_then_it_fails_at_once(
    module: str, name: str, tmp_path: Path
) -> None:
    code = (
        "from local import launcher; launcher.configure(); import importlib;"
        f"del importlib.import_module('ministack.{module}').{name};"
        "import local.server; local.server.install('1.5.33')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MILLRACE_EMULATOR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert f"HookError: ministack.{module}.{name}: no such name" in ended.stderr.splitlines()[-1]
    assert "ministack 1.5.33" in ended.stderr.splitlines()[-1]


def test_given_another_version_of_the_emulator_when_started_then_it_is_refused(tmp_path: Path) -> None:
    code = (
        "from local import launcher; launcher.configure(); import local.server; local.server.install('1.6.0')"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "MILLRACE_EMULATOR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "found 1.6.0" in ended.stderr.splitlines()[-1]
