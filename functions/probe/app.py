"""Entry point of the function. The release machine calls it once the alias has moved."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from .check import Checks
from .http import Client
from .patience import until_right
from .settings import Settings
from .signature import sign
from .token import bearer, get_token

logger = Logger(service="probe")


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Ask every API what the bundle's examples should give.

    ``event`` is ``{"version": "<model version>", "checks": <release.json>}``. Returns
    ``{"version": ..., "checked": "<n> predictions", "by": "<URLs of the APIs>"}``;
    raises ``TokenError``, ``ApiError`` or ``AnswerError``, whose message is what the release reports.
    """
    settings = Settings.read(os.environ)
    checks = Checks.parse(event)
    client = Client(sign if settings.signed else bearer(get_token(settings)))
    for later, url in zip(reversed(range(len(settings.urls))), settings.urls, strict=True):
        until_right(partial(ask, client, url, checks), context, later)
        logger.info("the API answers as the bundle should", version=checks.version, url=url)
    checked = f"{len(checks.probabilities)} predictions"
    return {"version": checks.version, "checked": checked, "by": ", ".join(settings.api_urls)}


def ask(client: Client, url: str, checks: Checks) -> None:
    """Ask one API once. Raises ``ApiError`` or ``AnswerError``."""
    checks.verify(url, client.post(url, checks.request))
