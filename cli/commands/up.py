"""`millrace up`."""

from __future__ import annotations

from cli import calls
from cli.console import Voice
from cli.deployment import deploy, limits, start
from cli.errors import CliError
from cli.models import champion
from cli.outputs import outputs
from cli.session import Session, session


def up(*, env: str | None = None, keep: bool = False) -> None:
    """Start the local environment, deploy every stack into it, and tell how to call its API.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param keep: keep what an earlier run of the environment has stored; else it starts empty
    """
    here, voice = session(env, any_workload=True), Voice()
    if not here.local:
        remedy = f"deploy it with the CDK: cdk deploy -c env={here.env} --all"
        raise CliError("only environments on this machine are started", f"the environment {here.env}", remedy)
    bring_up(here, voice, keep=keep)
    for workload in here.settings.workloads:
        ending(session(env, workload), voice)


def bring_up(here: Session, voice: Voice, *, keep: bool = False) -> None:
    """Start the emulator, deploy, and say what is only recorded there."""
    deploy(start(here, voice, keep=keep), voice)
    voice.say("recorded here, but not enforced as AWS would (docs/local.md explains it):")
    for line in limits():
        voice.write(f"  - {line}")


def ending(here: Session, voice: Voice) -> None:
    """Tell the URL and a call to paste, after that very call has been answered.

    Before the first release that is the API's health; after it, a prediction.
    """
    names = outputs(here, calls.NEEDED)
    if champion(here):
        calls.show(here, voice, calls.prediction(here, names), names)
        return
    calls.show(here, voice, calls.health(names), names)
    voice.say(f"no model serves yet. Next: millrace ingest{here.flags}, then millrace train{here.flags}")
