"""Prometheus and promtool, wherever this machine has them."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
FETCHED = REPOSITORY / ".millrace/tools/prometheus/usr/bin"
"""Where `make setup-prometheus` puts them."""
MONITORING = REPOSITORY / "kubernetes/monitoring"


def tool(name: str) -> str:
    """Return the path of a program; skip the test where there is none."""
    fetched = FETCHED / name
    found = str(fetched) if fetched.exists() else shutil.which(name)
    if found is None:
        skip(f"no {name} here (make setup-prometheus fetches it where there is apt): NOT TESTED")
    return found


def skip(reason: str) -> NoReturn:
    """Skip the test, and say so where it is read: among the warnings."""
    warnings.warn(reason, stacklevel=2)
    pytest.skip(reason)


def promtool(*arguments: str | Path) -> None:
    """Run promtool; where it objects, the test fails with its words."""
    done = subprocess.run(
        [tool("promtool"), *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def rule_groups() -> list[dict[str, Any]]:
    """Return the groups of alerts.yaml, which a Prometheus without the operator takes too."""
    groups: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]["groups"]
    return groups


def write_rules(folder: Path, groups: list[dict[str, Any]]) -> Path:
    """Write a file of rules as Prometheus reads it, and return it."""
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    return file
