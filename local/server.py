"""Serve the emulator with every addition installed. Imported after ``local.launcher`` has set it up."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from importlib.metadata import version
from types import ModuleType

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app
from ministack.core import lambda_runtime

from local import hooks
from local.emulator import (
    access_log,
    alarms,
    cloudformation,
    glue,
    lambdas,
    logs,
    metrics,
    payloads,
    sagemaker,
    scaling,
    stepfunctions,
)
from local.executors import process

LAST_SECONDS = 20.0
"""How long an orderly end may take before the process ends itself."""

ADDITIONS: tuple[ModuleType, ...] = (
    sagemaker,
    scaling,
    glue,
    stepfunctions,
    lambdas,
    logs,
    metrics,
    access_log,
    payloads,
    alarms,
    cloudformation,
)


def main() -> None:
    """Install the additions, then serve until SIGTERM or SIGINT."""
    install(version("ministack"))
    asyncio.run(_serve())


def install(found: str) -> None:
    """Install every addition to MiniStack ``found``. Raises HookError if it is not as expected."""
    if found != hooks.EMULATOR:
        raise hooks.HookError(app, "version", f"found {found}")
    for module in ADDITIONS:
        module.install()


async def _serve() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['MILLRACE_PORT']}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _leave, stop)
    await serve(app.app, config, shutdown_trigger=stop.wait)
    _end(0)


def _leave(stop: asyncio.Event) -> None:
    """Begin the end, and make sure that it comes: a request that hangs must not hold the process."""
    timer = threading.Timer(LAST_SECONDS, _end, args=(1,))
    timer.daemon = True
    timer.start()
    stop.set()


def _end(code: int) -> None:
    """End jobs and Lambda workers, then this process, without waiting for threads that wait for them."""
    process.end_all()
    lambda_runtime.reset()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
