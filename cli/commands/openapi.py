"""`millrace openapi`."""

from __future__ import annotations

import json
from pathlib import Path

from cli.console import Voice, result
from cli.errors import CliError
from cli.outputs import outputs
from cli.session import session


def openapi(
    *, env: str | None = None, workload: str | None = None, server: str | None = None, to: Path | None = None
) -> None:
    """Write the OpenAPI document of the workload's API, made from its contract.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param server: the server's URL; the deployed API's, if not given
    :param to: the file to write; stdout, if not given
    """
    from contract.openapi import document  # noqa: PLC0415 - help does without it

    here = session(env, workload)
    signed = here.settings.signed
    if server is None:
        names = outputs(here, ("api_url", "token_url", "scope"))
        token = {"token_url": names["token_url"], "scope": names["scope"]}
        told = document(here.contract, names["api_url"], **token, signed=signed)
    else:
        told = document(here.contract, server, signed=signed)
    text = json.dumps(told, indent=2, ensure_ascii=False)
    if to is None:
        result(text)
        return
    try:
        to.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise CliError(str(error), f"--to {to}", "name a file in a folder that can be written to") from error
    Voice().say(f"wrote {to}")
