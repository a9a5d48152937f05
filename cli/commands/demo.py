"""`millrace demo`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli import calls
from cli.commands.ingest import ingest
from cli.commands.predict import predict
from cli.commands.train import train
from cli.commands.up import bring_up
from cli.console import Voice, duration
from cli.errors import CliError
from cli.outputs import outputs
from cli.session import session

if TYPE_CHECKING:
    from cli.session import Session


def demo(*, env: str | None = None, workload: str | None = None) -> None:
    """Show the whole life cycle on this machine, on real data: from nothing to an authenticated prediction.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    """
    here, voice = session(env, workload), Voice()
    if not here.local:
        remedy = "on AWS: cdk deploy, then millrace ingest, millrace train, millrace predict"
        raise CliError("the demo runs on this machine only", f"the environment {here.env}", remedy)
    began = time.monotonic()
    for number, (title, act) in enumerate(steps(here, voice), 1):
        with step(voice, f"{number}/4 {title}"):
            act()
    voice.say(f"from nothing to a prediction in {duration(time.monotonic() - began)}")
    names = outputs(here, calls.NEEDED)
    calls.show(here, voice, calls.prediction(here, names), names)


def steps(here: Session, voice: Voice) -> list[tuple[str, Callable[[], None]]]:
    """Give the demo's steps with their titles."""
    return [
        ("start the environment and deploy every stack", lambda: bring_up(here, voice)),
        ("check and upload the raw tables", lambda: ingest(env=here.env, workload=here.workload)),
        ("preprocess, train, package, release", lambda: train(env=here.env, workload=here.workload)),
        ("predict the contract's examples", lambda: predict(env=here.env, workload=here.workload)),
    ]


@contextmanager
def step(voice: Voice, title: str) -> Iterator[None]:
    """Say when a step begins, and how long it took."""
    began = time.monotonic()
    voice.write()
    voice.say(f"[{title}]", style="bold")
    yield
    voice.say(f"[{title}] took {duration(time.monotonic() - began)}", style="bold green")
