"""`python -m tuning`: takes a plan (JSON) on standard input and starts it.

Lines for people go to standard output as they come. A failure ends with exit status 1 and one line of JSON on
standard error: ``problem`` and ``code``, by which the command line finds the remedy.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

DEFAULTS = Path(__file__).with_name("defaults.yaml")
SETTINGS = {
    "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(DEFAULTS),
    "SAGEMAKER_USER_CONFIG_OVERRIDE": str(DEFAULTS),
    # The role is the stack's; to look into it the SDK would need rights that nobody else needs.
    "SAGEMAKER_VALIDATE_ROLE": "false",
}


def main() -> int:
    """Start the plan on standard input; give the exit status."""
    os.environ.update(SETTINGS)
    say("loading the SageMaker SDK (some seconds)")
    from tuning import jobs, plan  # noqa: PLC0415 - slow, and it reads the settings above

    quieten()
    wanted = plan.read(json.load(sys.stdin))
    say(f"asking SageMaker for {wanted.name}")
    jobs.start(wanted)
    say(f"SageMaker has taken {wanted.name}")
    return 0


def say(text: str) -> None:
    """Write a line for people."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def quieten() -> None:
    """Let the SDK speak of what is wrong only: its other lines repeat what was asked for."""
    for name in ("sagemaker", "boto3", "botocore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def failure(error: Exception) -> dict[str, Any]:
    """Say what went wrong and what to do about it, for the command line to report."""
    response = getattr(error, "response", None)
    refused = response.get("Error", {}) if isinstance(response, dict) else {}
    if refused:
        return {"problem": f"{refused.get('Code')}: {refused.get('Message')}", "code": refused.get("Code")}
    return {"problem": str(error) or repr(error), "code": type(error).__name__}


def run() -> int:
    """Run `main` and tell its failure in a form that the command line can read."""
    try:
        return main()
    except Exception as error:
        sys.stderr.write(json.dumps(failure(error)) + "\n")
        return 1


def end(status: int) -> NoReturn:
    """End at once: tearing the SDK's modules down takes seconds, and nothing is left to do."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end(run())
