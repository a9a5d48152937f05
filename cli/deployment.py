"""Starts, deploys and removes an environment: the laptop's through `local`, any other with the CDK.

Everything heavy is imported when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError

if TYPE_CHECKING:
    from cli.console import Activity, Voice
    from cli.session import Session
    from local.environment import Running

DESTROY_SECONDS = 3600
TELLING = ("✅", "❌", "✨ Total", "FAILED", "ROLLBACK", "rror:", "arning:")
"""What marks a line that is worth keeping on the screen."""


@contextmanager
def told(where: str, remedy: str) -> Iterator[None]:
    """Turn what the local environment raises into a `CliError`."""
    from local.environment import LocalError  # noqa: PLC0415 - only where it is used

    try:
        yield
    except LocalError as error:
        raise CliError(str(error), where, remedy) from error


def spoken(voice: Voice, activity: Activity, tag: str) -> Callable[[str], None]:
    """Give a function for lines of progress: what matters is said, any other becomes what goes on."""

    def hear(line: str) -> None:
        text = " ".join(line.replace("|", " ").split())
        if any(mark in text for mark in TELLING):
            voice.say(f"{tag}  {text}")
        elif text and not text.startswith("still working"):
            activity.text = f"{tag}  {text}"

    return hear


def start(session: Session, voice: Voice, *, keep: bool) -> Running:
    """Start the emulator, or find the one that runs."""
    from local import environment  # noqa: PLC0415 - only where it is used

    running = environment.find(session.env)
    if running is not None:
        voice.say(f"the local environment runs already: {running.endpoint} (pid {running.pid})")
        return running
    remedy = "read the log that is named, or choose another port with MILLRACE_PORT; then millrace up again"
    with told("start of the local environment", remedy), voice.busy("starting the emulator") as activity:
        progress = spoken(voice, activity, "emulator")
        running = environment.start(session.env, keep=keep, progress=progress)
    voice.say(f"the emulator answers on {running.endpoint} (pid {running.pid}, log {running.log})")
    return running


def deploy(running: Running, voice: Voice) -> None:
    """Deploy every stack into a running emulator."""
    from local import deploy as local_deploy  # noqa: PLC0415 - only where it is used

    remedy = f"mend what is named; the emulator's log is {running.log}; then millrace up again"
    with told("deployment of the stacks", remedy), voice.busy("deploying") as activity:
        local_deploy.deploy(running, spoken(voice, activity, "deploy"))


def stop(session: Session, voice: Voice) -> bool:
    """End the emulator by its process id, and all it has started; say whether there was one."""
    from local import environment  # noqa: PLC0415 - only where it is used

    running = environment.find(session.env)
    if running is None:
        left = environment.end_leftovers(environment.folder(session.env))
        if left:
            voice.say(f"ended what an earlier emulator had left: {', '.join(map(str, left))}")
        return False
    with voice.busy(f"ending the emulator (pid {running.pid})"):
        environment.stop(running)
    return True


def destroy_stacks(session: Session, voice: Voice) -> None:
    """Remove every stack of the environment."""
    from local import deploy as local_deploy  # noqa: PLC0415 - only where it is used
    from local import environment  # noqa: PLC0415

    remedy = "mend what the last lines name, then millrace destroy again"
    with told("removal of the stacks", remedy), voice.busy("destroying the stacks") as activity:
        progress = spoken(voice, activity, "destroy")
        if session.local:
            running = environment.find(session.env)
            if running is None:
                raise CliError("it is not running", "the local environment", "start it: millrace up --keep")
            local_deploy.destroy(running, progress)
            return
        node = local_deploy.node()
        command = [str(node), str(local_deploy.install(progress)), "destroy", "--all", "--force"]
        options = [f"--context=env={session.env}", "--ci", "--progress=events", "--no-notices"]
        local_deploy.run([*command, *options], variables(node), DESTROY_SECONDS, progress)


def variables(node: Path) -> dict[str, str]:
    """Give what the CDK needs of its environment beside the caller's credentials."""
    path = os.pathsep.join((str(node.parent), os.environ.get("PATH", os.defpath)))
    return {"JSII_NODE": str(node), "PATH": path}


def limits() -> list[str]:
    """List what the local environment records and does not enforce, a line each."""
    from local.limits import limits as local_limits  # noqa: PLC0415 - only where it is used

    return list(local_limits())
