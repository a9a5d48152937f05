"""SageMaker's SDK at work: a child in its own environment is given a plan, and its lines are passed on."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cli.errors import ELSE, REMEDIES, CliError

if TYPE_CHECKING:
    from cli.console import Voice
    from cli.session import Session

REPOSITORY = Path(__file__).parents[1]
ENVIRONMENT = REPOSITORY / ".venv-tuning"
PERSONAL = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE")
"""What chooses a person's own credentials, which the laptop's environment must not see."""
QUOTA = "ask for a higher quota (Service Quotas, SageMaker), or for fewer or smaller instances"
SAID_BY_THE_CHILD = {
    "ResourceLimitExceeded": QUOTA,
    "ResourceInUse": "try again: the name was taken this moment",
}


def start(here: Session, voice: Voice, plan: Mapping[str, Any]) -> None:
    """Let the SDK start what ``plan`` says, and return once SageMaker has taken it.

    Raises `CliError` where the SDK is not installed, or SageMaker or the SDK refuses.
    """
    command = [str(python()), "-m", "tuning"]
    with (
        voice.busy("SageMaker's SDK"),
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=variables(here),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Ctrl-C is this process's to answer: what was started may have to be stopped.
            start_new_session=True,
        ) as child,
    ):
        try:
            told = converse(child, voice, json.dumps(plan))
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise failure(told, child.returncode)


def python() -> Path:
    """Give the SDK's interpreter. Raises `CliError` where the environment is not there."""
    if not (ENVIRONMENT / "ready").exists():
        remedy = "install it, some 730 MB: make setup-tuning"
        raise CliError("SageMaker's SDK is not installed", f"the environment {ENVIRONMENT.name}", remedy)
    return ENVIRONMENT / "bin" / "python"


def variables(here: Session) -> dict[str, str]:
    """Give the child's environment: on the laptop it reaches the emulator and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if not here.local:
        return kept
    reached = {
        "AWS_ENDPOINT_URL": str(here.settings.emulator),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return {name: value for name, value in kept.items() if name not in PERSONAL} | reached


def converse(child: subprocess.Popen[str], voice: Voice, plan: str) -> str:
    """Hand over the plan, pass on the child's lines, and give what it wrote to standard error."""
    streams: tuple[IO[str] | None, ...] = (child.stdin, child.stdout, child.stderr)
    to_child, lines, errors = streams
    assert to_child is not None
    assert lines is not None
    assert errors is not None
    to_child.write(plan)
    to_child.close()
    for line in lines:
        voice.say(line.rstrip("\n"))
    return errors.read()


def failure(told: str, status: int) -> CliError:
    """Give the child's failure: its last line is JSON; anything else is a crash, told in full."""
    where = "SageMaker's SDK"
    last = (told.strip().splitlines() or [""])[-1]
    try:
        said = json.loads(last)
        problem, code = said["problem"], said["code"]
    except (ValueError, KeyError, TypeError):
        return CliError(
            told.strip() or f"it ended with status {status}", where, "make setup-tuning repairs it"
        )
    return CliError(problem, where, {**REMEDIES, **SAID_BY_THE_CHILD}.get(code, ELSE))
