"""`millrace down`."""

from __future__ import annotations

from cli.console import Voice
from cli.deployment import stop
from cli.errors import CliError
from cli.session import session


def down(*, env: str | None = None) -> None:
    """End the local environment: the emulator and everything it has started.

    :param env: the environment; MILLRACE_ENV or local, if not given
    """
    here, voice = session(env, any_workload=True), Voice()
    if not here.local:
        remedy = f"to remove what is deployed: millrace destroy --env {here.env}"
        raise CliError("it runs on AWS, not on this machine", f"the environment {here.env}", remedy)
    ended = stop(here, voice)
    voice.say("the local environment has ended" if ended else "the local environment was not running")
