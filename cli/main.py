"""The entry of `millrace`: which commands there are, and how each of them fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from cli.errors import CliError, explain, report
from cli.help import overview, page

if TYPE_CHECKING:
    from cyclopts import App

INTRO = "millrace: from raw tables to a monitored model behind an API, on AWS and on a laptop."
COMMANDS = {
    "demo": "the whole life cycle on this machine: up, ingest, train, release, predict",
    "up": "start the environment and deploy every stack into it",
    "down": "end the local environment and leave nothing running",
    "ingest": "check the workload's raw tables and upload them",
    "train": "run the pipeline from raw tables to a registered model, and follow it",
    "experiment": "train once with other hyperparameters, outside the pipeline",
    "tune": "search for better hyperparameters, and show what was tried",
    "release": "list models, approve one, or roll back to one, and follow the release",
    "predict": "ask the API for predictions",
    "bundle": "fetch the model that serves, to run it anywhere",
    "serve": "answer over HTTP with a bundle, on this machine",
    "token": "print an access token for the API",
    "outputs": "print the API's URL and the names a script needs",
    "openapi": "write the API's OpenAPI document",
    "status": "what is deployed, the champion, the last runs, the alarms",
    "logs": "show or follow the logs of a job or a function",
    "doctor": "check what a deployment and a run need",
    "destroy": "remove everything that the environment made",
}
HELP = ("--help", "-h", "help")


def command(name: str) -> Callable[..., Any]:
    """Load the function behind the command ``name``."""
    return cast("Callable[..., Any]", getattr(importlib.import_module(f"cli.commands.{name}"), name))


def help_asked(arguments: Sequence[str]) -> str | None:
    """Give the help page that ``arguments`` ask for, or None where they ask for none."""
    if not arguments or arguments[0] in HELP:
        named = [each for each in arguments[1:2] if each in COMMANDS]
        return page(named[0], command(named[0])) if named else overview(INTRO, COMMANDS)
    if arguments[0] in COMMANDS and any(flag in arguments for flag in HELP[:2]):
        return page(arguments[0], command(arguments[0]))
    return None


def parser() -> App:
    """Build the parser; a command's module is loaded when the command is called."""
    from cyclopts import App  # noqa: PLC0415 - help does without it

    app = App(name="millrace", help_flags=(), version_flags=())
    for name in COMMANDS:
        app.command(f"cli.commands.{name}:{name}", name=name)
    return app


def attached(arguments: Sequence[str]) -> list[str]:
    """Write ``--file -`` as ``--file=-``: the parser takes a hyphen by itself for an option."""
    told: list[str] = []
    for each in arguments:
        if each == "-" and told and told[-1].startswith("--") and "=" not in told[-1]:
            told[-1] += "=-"
        else:
            told.append(each)
    return told


def execute(arguments: Sequence[str]) -> None:
    """Parse ``arguments`` and run the command.

    Raises `CliError` for what the command reports, and `SystemExit` with 2 for what cannot be parsed.
    """
    from cyclopts import CycloptsError  # noqa: PLC0415 - help does without it

    try:
        function, bound, _ = parser().parse_args(attached(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        name = arguments[0] if arguments[0] in COMMANDS else ""
        report(CliError(str(error), f"the command line: millrace {' '.join(arguments)}", help_hint(name)))
        raise SystemExit(2) from error
    function(*bound.args, **bound.kwargs)


def help_hint(name: str) -> str:
    """Tell how to see what the command takes."""
    return f"see millrace {name} --help" if name else "see millrace --help"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code: 0, 1 failed, 2 not understood, 130 interrupted."""
    text = help_asked(arguments)
    if text is not None:
        sys.stdout.write(text)
        return 0
    try:
        execute(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        report(told)
        return 1
    return 0


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
