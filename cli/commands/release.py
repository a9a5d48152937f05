"""`millrace release`."""

from __future__ import annotations

from collections.abc import Sequence

from cli import runs
from cli.console import Voice, result, show_table, stamp, table
from cli.models import Package, champion, choose, metrics_text, packages
from cli.outputs import outputs
from cli.releases import approval_release, approve, follow_release, request_release
from cli.session import session


def release(*, env: str | None = None, workload: str | None = None, package: str | None = None) -> None:
    """List the registered models, or release one and follow it: approve it, or roll back to it.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param package: the model to release: its number, its run or its ARN
    """
    here, voice = session(env, workload), Voice()
    with voice.busy("reading the registry"):
        known = packages(here)
    serving = champion(here).get("package", "")
    if package is None:
        show(known, serving)
        return
    chosen = choose(known, package)
    machine = outputs(here, ("release_machine",))["release_machine"]
    if chosen.status == "Approved":
        voice.say(f"model {chosen.number} is approved already; asking for its release")
        follow_release(here, voice, request_release(here, machine, chosen))
        return
    before = {str(each["executionArn"]) for each in runs.recent(here, machine)}
    approve(here, chosen)
    voice.say(f"model {chosen.number} approved: run {chosen.run}")
    follow_release(here, voice, approval_release(here, voice, machine, chosen, before))


def show(known: Sequence[Package], serving: str) -> None:
    """Print the registered models, newest first."""
    if not known:
        result("no model is registered yet: millrace train")
        return
    rows = table("model", "run", "approval", "created", "metrics", "")
    for each in known:
        mark = "champion" if each.arn == serving else ""
        rows.add_row(
            str(each.number), each.run, each.status, stamp(each.created), metrics_text(each.metrics), mark
        )
    show_table(rows)
