"""Entry point: looks at every assumption and writes the report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from cli.checks import credentials
from cli.console import Voice, result, show_table, table
from cli.errors import CliError, explain, report
from cli.session import Session, session
from tests.smoke_aws import jobs, machines, releases, serving  # noqa: F401 - each registers its checks
from tests.smoke_aws.environment import Environment
from tests.smoke_aws.findings import CHECKS, Finding, Refuted, settle

LAPTOP = "this is the laptop: what it shows tells that the script works, and nothing about AWS"


def findings(environment: Environment, voice: Voice) -> dict[str, Finding]:
    """Look at every assumption, in the order of the ids."""
    found: dict[str, Finding] = {}
    for check in sorted(CHECKS.values(), key=lambda each: each.id):
        with voice.busy(f"{check.id} {check.look.__name__.replace('_', ' ')}"):
            found[check.id] = settle(check, environment)
    return found


def write(found: Mapping[str, Finding], *, as_json: bool) -> None:
    """Write the report to stdout: a table, or JSON."""
    rows = [(name, each.verdict, " ".join(each.evidence.split())) for name, each in found.items()]
    if as_json:
        keys = ("id", "verdict", "evidence")
        result(json.dumps([dict(zip(keys, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
        return
    shown = table("id", "verdict", "evidence")
    for row in rows:
        shown.add_row(*row)
    show_table(shown)


def reach(here: Session) -> Environment:
    """Open what is deployed.

    Raises `CliError` where the credentials are missing or belong to another account, or a stack is missing.
    """
    for check in () if here.local else credentials(here):
        if check.level != "ok":
            raise CliError(check.found, check.name, check.remedy)
    environment = Environment(here)
    _ = environment.names
    return environment


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.smoke_aws", description=__doc__)
    parser.add_argument("--env", required=True, help="the environment, deployed, trained and released")
    parser.add_argument("--workload", help="the workload; not needed where the environment has one")
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    return parser.parse_args(arguments)


def run(arguments: Sequence[str]) -> int:
    """Settle what can be settled: 0, 1 where an assumption is refuted, 2 where nothing could be read."""
    asked, voice = options(arguments), Voice()
    try:
        here = session(asked.env, asked.workload)
        environment = reach(here)
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        report(told)
        return 2
    found = findings(environment, voice)
    write(found, as_json=asked.json)
    if here.local:
        voice.say(LAPTOP)
    return 1 if any(isinstance(finding, Refuted) for finding in found.values()) else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
