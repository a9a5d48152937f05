"""Entry point of the function. The release machine calls it once the alias has moved."""

from __future__ import annotations

import os
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
    """Ask the API what the bundle's examples should give.

    ``event`` is ``{"version": "<model version>", "checks": <release.json>}``. Returns
    ``{"version": ..., "checked": "<n> predictions"}``; raises ``TokenError``, ``ApiError`` or
    ``AnswerError``, whose message is what the release reports.
    """
    settings = Settings.read(os.environ)
    checks = Checks.parse(event)
    client = Client(settings.url, sign if settings.signed else bearer(get_token(settings)))
    until_right(lambda: checks.verify(client.post(checks.request)), context)
    logger.info("the API answers as the bundle should", version=checks.version)
    return {"version": checks.version, "checked": f"{len(checks.probabilities)} predictions"}
