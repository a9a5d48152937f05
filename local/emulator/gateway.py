"""Where the emulator is: its address, account, folder, and clients that call it."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "000000000000"
REGION = "us-east-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_REGION": REGION,
}

_creating = threading.Lock()


def port() -> int:
    """The port the emulator listens on, on 127.0.0.1."""
    return int(os.environ.get("MILLRACE_PORT", "4566"))


def endpoint() -> str:
    """The address that every AWS client uses here."""
    return f"http://127.0.0.1:{port()}"


def root() -> Path:
    """The folder that holds everything this environment keeps: objects, state, jobs, logs."""
    return Path(os.environ["MILLRACE_EMULATOR"])


@cache
def _client(service: str, address: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            retries={"max_attempts": 1},
            read_timeout=120,
            inject_host_prefix=False,
            max_pool_connections=32,
            s3={"addressing_style": "path"},
        ),
    )


def client(service: str) -> Any:
    """A boto3 client for ``service`` that calls this emulator. Never use it on the event loop."""
    with _creating:  # boto3's default session may not build two clients at once
        return _client(service, endpoint())
