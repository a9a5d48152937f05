"""A bundle on this machine: fetched from an environment, and how to call the server that answers with it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cli.errors import CliError
from cli.models import champion
from functions.predict.bundle import MANIFEST, BundleError

if TYPE_CHECKING:
    from cli.session import Session
    from functions.predict.core import Core

AGAIN = "train and release again, or ask for another model: millrace release"
NONE_YET = "train a model and release it: millrace train, then millrace release"


def champions_files(session: Session) -> tuple[str, dict[str, bytes]]:
    """Fetch the champion's bundle: where it lies, and its files by name, the manifest first.

    Raises `CliError` where nothing is released, where the bundle is gone, and where a file is not what the
    manifest promises.
    """
    from server.sources import fetch, source_of  # noqa: PLC0415 - help does without it

    pointer = champion(session)
    if not pointer:
        raise CliError("no model has been released yet", f"the environment {session.env}", NONE_YET)
    place = str(pointer["bundle"])
    try:
        files = fetch(source_of(place, lambda: session.client("s3")))
    except BundleError as error:
        raise CliError(str(error), place, AGAIN) from error
    except OSError as error:
        raise CliError(str(error), place, "use credentials that may read the models bucket") from error
    if not files:
        raise CliError("there is no manifest.json", place, AGAIN)
    return place, files


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write a bundle, the manifest last: whoever watches the folder never takes a half for a whole.

    Raises `CliError` where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(files, key=lambda name: name == MANIFEST):
            half = folder / f".{name}.part"
            half.write_bytes(files[name])
            os.replace(half, folder / name)  # noqa: PTH105 - it says that it replaces
    except OSError as error:
        raise CliError(str(error), f"--to {folder}", "name a folder that can be written to") from error


def call_of(url: str, core: Core) -> str:
    """Return a call to paste that asks for the bundle's first example, or for health where it has none."""
    examples = core.bundle.manifest.examples if core.bundle else ()
    if not examples:
        return f"curl {url}/health"
    body = msgspec.json.encode({"records": [examples[0].record]}).decode()
    where = f"{url}/v1/models/{core.workload}/predict"
    return f"curl {where} -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)}"


def answer_of(core: Core) -> str:
    """Return what the model answers to that call; "" where there is nothing to ask."""
    if not core.bundle or not core.bundle.manifest.examples or not core.predictor:
        return ""
    body = msgspec.json.encode({"records": [core.bundle.manifest.examples[0].record]})
    answer = core.predictor.predict(core.predictor.json, body, '"example"').body
    found = msgspec.json.decode(answer)["predictions"][0]
    return f"{found['decision']}, probability {found['probability']:.4f}"
