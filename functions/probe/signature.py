"""A signed request (Signature Version 4), as callers with an IAM identity of their own send one."""

from __future__ import annotations

from collections.abc import Mapping


def sign(url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that prove that the function's role asks."""
    # They are slow to import, and the runtime carries them.
    import boto3  # noqa: PLC0415
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    session = boto3.Session()
    request = AWSRequest("POST", url, headers=dict(headers), data=body)
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    return dict(request.headers.items())
