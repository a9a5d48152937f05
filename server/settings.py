"""What the command line and the environment tell the server."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import msgspec

SERVE = "serve"
"""The one argument with which SageMaker starts a container."""
SAGEMAKER_BUNDLE = "/opt/ml/model"
SAGEMAKER_HOST = "0.0.0.0"  # noqa: S104 - a container's only caller comes from outside it
MOST_WORKERS = 64


class SettingsError(Exception):
    """A setting that cannot be. Says which, and what it may be."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``poll_seconds``: how often a newer bundle is looked for; 0: never. ``workload``: "" for any."""

    bundle: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    poll_seconds: float = 0.0
    workload: str = ""
    access_log: bool = False


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read settings; an argument counts before its variable. Raises SettingsError, SystemExit for --help."""
    asked = _parser(environ).parse_args(arguments)
    hosted = asked.bundle == SERVE
    bundle = environ.get("MILLRACE_BUNDLE", SAGEMAKER_BUNDLE if hosted else "")
    if asked.bundle and not hosted:
        bundle = asked.bundle
    if not bundle:
        raise SettingsError("no bundle is named: python -m server BUNDLE, or set MILLRACE_BUNDLE")
    host = asked.host or environ.get("MILLRACE_HOST") or (SAGEMAKER_HOST if hosted else "127.0.0.1")
    return Settings(
        bundle=bundle,
        host=host,
        port=int(_number("--port", asked.port, 0, 65535)),
        workers=int(_number("--workers", asked.workers, 1, MOST_WORKERS)),
        poll_seconds=_number("--poll-seconds", asked.poll_seconds, 0, 86400),
        workload=environ.get("MILLRACE_WORKLOAD", ""),
        access_log=asked.access_log or environ.get("MILLRACE_ACCESS_LOG") == "1",
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server", description="Answer over HTTP with one bundle.")
    parser.add_argument(
        "bundle", nargs="?", help="a folder, a .zip, or s3://bucket/prefix/ (MILLRACE_BUNDLE)"
    )
    parser.add_argument("--host", help="where to listen; 127.0.0.1 unless told (MILLRACE_HOST)")
    for name, variable, usual, about in (
        ("--port", "MILLRACE_SERVER_PORT", "8080", "0 takes a free one"),
        ("--workers", "MILLRACE_WORKERS", "1", "processes that share the port"),
        ("--poll-seconds", "MILLRACE_POLL_SECONDS", "0", "how often to look for a newer bundle; 0: never"),
    ):
        parser.add_argument(name, default=environ.get(variable, usual), help=f"{about} ({variable})")
    parser.add_argument(
        "--access-log", action="store_true", help="a line per request (MILLRACE_ACCESS_LOG=1)"
    )
    return parser


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not low <= value <= high:
        raise SettingsError(f"{name} is `{text}`; it may be {low} to {high}")
    return value
