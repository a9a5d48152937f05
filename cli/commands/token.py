"""`millrace token`."""

from __future__ import annotations

from cli.api import access_token
from cli.console import Voice, result
from cli.errors import CliError
from cli.outputs import outputs
from cli.session import session


def token(*, env: str | None = None, workload: str | None = None) -> None:
    """Print an access token for the environment's API, and nothing else.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: a workload of the environment; the token is good for all of them
    """
    here = session(env, workload, any_workload=True)
    if here.settings.signed:
        where, remedy = f"environments/{here.env}.toml", "sign requests yourself, or use millrace predict"
        raise CliError("callers of this environment sign their requests; it gives no tokens", where, remedy)
    names = outputs(here, ("user_pool_id", "client_id", "token_url", "scope"))
    with Voice().busy("asking for a token"):
        told = access_token(here, names)
    result(told)
