"""`millrace outputs`."""

from __future__ import annotations

import json as json_format

from cli.console import result
from cli.errors import CliError
from cli.outputs import deploy_hint
from cli.outputs import outputs as read_outputs
from cli.session import session


def outputs(*, env: str | None = None, workload: str | None = None, json: bool = False) -> None:
    """Print the API's URL and the names of everything a script needs.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param json: print them as one JSON object, keys like api_url and lake_bucket
    """
    here = session(env, workload)
    names = read_outputs(here)
    if not names:
        raise CliError("nothing is deployed", f"the environment {here.env}", deploy_hint(here))
    if json:
        result(json_format.dumps(names, indent=2))
        return
    result("\n".join(f"{name:<16} {value}" for name, value in names.items()))
