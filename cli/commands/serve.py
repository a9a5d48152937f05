"""`millrace serve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.console import Voice, result
from cli.errors import CliError
from cli.served import answer_of, call_of

if TYPE_CHECKING:
    from functions.predict.core import Core
    from server.settings import Settings


def serve(
    bundle: str,
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    poll_seconds: float = 0.0,
) -> None:
    """Answer over HTTP with a bundle until interrupted; requests that were accepted are answered first.

    Nobody is asked who he is: let only those reach it who may ask.

    :param bundle: a folder, a .zip (a model's layer), or s3://bucket/prefix/
    :param host: where to listen
    :param port: the port; 0 takes a free one
    :param workers: processes that share the port
    :param poll_seconds: how often to look for a newer bundle at the same place; 0: never
    """
    from server.settings import SettingsError, read  # noqa: PLC0415 - help does without it

    given = {"host": host, "port": port, "workers": workers, "poll-seconds": poll_seconds}
    arguments = [bundle, *(f"--{name}={value}" for name, value in given.items())]
    try:
        settings = read(arguments, {})
    except SettingsError as error:
        raise CliError(str(error), "the command line", "see millrace serve --help") from error
    run(settings)


def run(settings: Settings) -> None:
    """Serve, and say how to call. Raises `CliError` where that cannot be."""
    from server.log import Log  # noqa: PLC0415 - help does without it
    from server.run import StartError, serve  # noqa: PLC0415
    from server.workers import supervise  # noqa: PLC0415

    def ready(port: int, core: Core) -> None:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        tell(f"http://{host}:{port}", core)

    try:
        if settings.workers == 1:
            serve(settings, Log(), ready)
        elif status := supervise(settings, Log(), ready):
            raise CliError("a worker has ended by itself", f"status {status}", "its last words stand above")
    except StartError as error:
        raise CliError(str(error), f"the bundle {settings.bundle}", "millrace serve --help") from error


def tell(url: str, core: Core) -> None:
    """Say where it answers, with a call to paste and what that will answer."""
    voice = Voice()
    version = core.bundle.manifest.version if core.bundle else "none yet"
    voice.say(f"{core.workload or 'no model'}, version {version}: {url} · metrics: {url}/metrics")
    result(call_of(url, core))
    if answer := answer_of(core):
        voice.say(f"it answers: {answer}. Interrupt (Ctrl-C) to end")
