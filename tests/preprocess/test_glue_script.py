"""The script that Glue starts tells the job's libraries where they are."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.spark

SCRIPT = Path(__file__).parents[2] / "training" / "preprocess" / "glue.py"


def region_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | None:
    """The region that the job meets when the script is started with ``arguments``."""
    met: list[str | None] = []
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
    monkeypatch.setattr("training.preprocess.job.main", lambda: met.append(os.getenv("AWS_DEFAULT_REGION")))
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return met[0]


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set before it is taken away, so that what the script sets is taken away too.
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    monkeypatch.delenv("AWS_DEFAULT_REGION")


def test_given_a_region_then_the_job_meets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert region_of(monkeypatch, "--workload", "x", "--region", "eu-west-1") == "eu-west-1"


def test_given_a_region_in_the_environment_then_it_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert region_of(monkeypatch, "--region", "eu-west-1") == "us-east-1"


def test_given_no_region_then_none_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert region_of(monkeypatch, "--workload", "x") is None
