"""AWS's Signature Version 4 for one kind of request: a POST to a fixed path, without a query.

The rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
The SDK would bring them too, for ten times this function's start.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from .settings import Credentials

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "sagemaker"


def signed(
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    now: datetime,
) -> dict[str, str]:
    """Return ``headers`` (lower-case names, ``host`` among them) with those that prove who asks.

    ``path`` holds nothing that a URL would escape; ``now`` is in UTC.
    """
    headers = {**headers, "x-amz-date": now.strftime("%Y%m%dT%H%M%SZ")}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(headers))
    scope = f"{now:%Y%m%d}/{region}/{SERVICE}/aws4_request"
    text = "\n".join(
        (ALGORITHM, headers["x-amz-date"], scope, _sha256(_canonical(path, headers, names, body)))
    )
    key = _key(credentials.secret, f"{now:%Y%m%d}", region)
    proof = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={proof}"
    )
    return {**headers, "authorization": authorization}


def _canonical(path: str, headers: Mapping[str, str], names: str, body: bytes) -> bytes:
    """The request as both sides write it down; the empty line stands for the query."""
    lines = [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)]
    return "\n".join(("POST", path, "", *lines, "", names, _sha256(body))).encode()


@lru_cache(maxsize=2)
def _key(secret: str, day: str, region: str) -> bytes:
    """A day's key."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
