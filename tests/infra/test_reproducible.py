"""The same sources synthesise to the same bytes, wherever they lie."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.infra.conftest import ENVIRONMENTS, ROOT

SOURCES = (
    "app.py",
    "cdk.json",
    "pyproject.toml",
    "contract",
    "environments",
    "functions",
    "infra",
    "server",
    "training",
    "workloads",
)

ALL_IN_ONE_PROCESS = """
import json, sys
import aws_cdk as cdk
import app
for env, context in json.loads(sys.argv[1]).items():
    app.main(cdk.App(context=context, outdir=f"cdk.out/{env}", analytics_reporting=False))
"""
"""What the CDK's command line does, for several environments at the price of one start."""


COMMAND = json.loads((ROOT / "cdk.json").read_text())["app"].split()
BY_COMMAND = "prod"
"""The environment that the first checkout makes with that command."""


def checkout(folder: Path) -> Path:
    """A copy of what synthesis reads, with modes and times of its own."""
    for name in SOURCES:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            unread = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=unread)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


def context_of(env: str) -> dict[str, Any]:
    """The context that the CDK's command line makes of cdk.json."""
    configuration = json.loads((ROOT / "cdk.json").read_text())
    return {
        **configuration["context"],
        "env": env,
        "aws:cdk:enable-path-metadata": configuration["pathMetadata"],
        "aws:cdk:enable-asset-metadata": configuration["assetMetadata"],
        "aws:cdk:version-reporting": configuration["versionReporting"],
    }


def run(root: Path, *arguments: str, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def assert_same(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> None:
    assert set(first) == set(second)
    assert [name for name in first if first[name] != second[name]] == []


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two checkouts, every environment synthesised in each; in the first one of them by the command."""
    first = checkout(tmp_path_factory.mktemp("here") / "millrace")
    second = checkout(tmp_path_factory.mktemp("elsewhere") / "deeper" / "clone of millrace")
    contexts = {env: context_of(env) for env in ENVIRONMENTS}

    def with_command() -> None:
        own = contexts[BY_COMMAND]
        others = {env: context for env, context in contexts.items() if env != BY_COMMAND}
        run(first, "-c", ALL_IN_ONE_PROCESS, json.dumps(others))
        output = str(first / "cdk.out" / BY_COMMAND)
        run(first, *COMMAND[1:], CDK_OUTDIR=output, CDK_CONTEXT_JSON=json.dumps(own))

    with ThreadPoolExecutor(2) as pool:
        done = [
            pool.submit(with_command),
            pool.submit(run, second, "-c", ALL_IN_ONE_PROCESS, json.dumps(contexts)),
        ]
        for each in done:
            each.result()
    return first, second


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_given_two_checkouts_when_synthesised_then_every_byte_is_the_same(
    checkouts: tuple[Path, Path], env: str
) -> None:
    first, second = (dict(contents(root / "cdk.out" / env)) for root in checkouts)
    assert_same(first, second)
    assert any(name.endswith("-serving.template.json") for name in first)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_given_an_environment_when_synthesised_then_nothing_names_the_folder_it_was_made_in(
    checkouts: tuple[Path, Path], env: str
) -> None:
    for root in checkouts:
        named = [name for name, content in contents(root / "cdk.out" / env) if str(root).encode() in content]
        assert named == []


def test_given_the_command_of_cdk_json_when_run_then_it_makes_the_same(checkouts: tuple[Path, Path]) -> None:
    assert COMMAND == ["python3", "app.py"]
    by_command, in_process = (dict(contents(root / "cdk.out" / BY_COMMAND)) for root in checkouts)
    assert_same(by_command, in_process)


def test_given_no_environment_when_synthesised_then_the_error_says_how_to_name_one() -> None:
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "-c env=dev" in done.stderr
    assert "Traceback" not in done.stderr
