"""`millrace doctor`."""

from __future__ import annotations

from cli.checks import Check, checks
from cli.console import Voice, result
from cli.errors import CliError
from cli.session import session

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def doctor(*, env: str | None = None) -> None:
    """Check what a first deployment and a run need, and say what to do about what is missing.

    On AWS: credentials, the CDK's bootstrap, quotas and instance types, API Gateway's role for logs.
    On the laptop: Java, Node, the CDK, and whether the environment runs.

    :param env: the environment; MILLRACE_ENV or local, if not given
    """
    here = session(env, any_workload=True)
    failed = 0
    with Voice().busy(f"checking {here.env}"):
        for check in checks(here):
            failed += check.level == "fail"
            result(text(check))
    if failed:
        remedy = "do what stands beside each FAIL, then run millrace doctor again"
        raise CliError(f"{failed} of the checks failed", f"the environment {here.env}", remedy)


def text(check: Check) -> str:
    """Give a check's outcome, and under it the remedy."""
    told = f"{MARKS[check.level]}  {check.name}: {check.found}"
    return f"{told}\n      → {check.remedy}" if check.remedy else told
