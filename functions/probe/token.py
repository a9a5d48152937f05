"""A token by client credentials (RFC 6749, section 4.4), as every caller gets one."""

from __future__ import annotations

import base64
import json
import urllib.parse

from .errors import TokenError
from .http import Authorize, post
from .settings import Settings


def get_token(settings: Settings) -> str:
    """Trade the client's id and secret for an access token. Raises ``TokenError``."""
    pair = f"{settings.client}:{_secret(settings)}".encode()
    headers = {
        "Authorization": f"Basic {base64.b64encode(pair).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": settings.scope})
    reply = post(settings.token_url, form.encode(), headers)
    if reply.status != 200:
        # The body of a refusal names the error and no secret.
        raise TokenError(f"{settings.token_url} answered {reply.status}: {reply.body[:500]}")
    return str(json.loads(reply.body)["access_token"])


def bearer(token: str) -> Authorize:
    """Say who asks by a token."""
    return lambda _url, _body, _headers: {"Authorization": f"Bearer {token}"}


def _secret(settings: Settings) -> str:
    import boto3  # noqa: PLC0415 it is slow to import, and the runtime carries it

    client = boto3.client("cognito-idp").describe_user_pool_client(
        UserPoolId=settings.user_pool, ClientId=settings.client
    )
    return str(client["UserPoolClient"]["ClientSecret"])
