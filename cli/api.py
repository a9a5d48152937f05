"""Calls of the deployed API: an access token, then a request with it."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.errors import CliError, unreachable

if TYPE_CHECKING:
    from cli.session import Session

SECONDS = 35
"""API Gateway gives up after 29 s; a little more tells its answer from a lost connection."""


@dataclass(frozen=True)
class Answer:
    """Status and body of a response; ``content`` is the body as JSON, or its text where it is none."""

    status: int
    content: Any


def call(url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    """GET ``url``, or POST ``body`` to it.

    Raises `CliError` where nothing answers.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310 - a stack's own output
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return Answer(response.status, readable(response.read()))
    except urllib.error.HTTPError as error:
        return Answer(error.code, readable(error.read()))
    except OSError as error:
        raise unreachable(f"{url}: {getattr(error, 'reason', error)}") from error


def readable(body: bytes) -> Any:
    """Give a body as JSON, or as text where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def token_request(client_id: str, secret: str, scope: str) -> tuple[dict[str, str], bytes]:
    """Give headers and body of an OAuth client-credentials request (RFC 6749, section 4.4)."""
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    return headers, urllib.parse.urlencode({"grant_type": "client_credentials", "scope": scope}).encode()


def access_token(session: Session, names: Mapping[str, str]) -> str:
    """Get an access token for the API, with the environment's client.

    Raises `CliError` where the caller may not read the client's secret, or the token is refused.
    """
    described = session.client("cognito-idp").describe_user_pool_client(
        UserPoolId=names["user_pool_id"], ClientId=names["client_id"]
    )
    secret = described["UserPoolClient"]["ClientSecret"]
    headers, body = token_request(names["client_id"], secret, names["scope"])
    answer = call(names["token_url"], headers, body)
    if answer.status != 200 or not isinstance(answer.content, dict) or "access_token" not in answer.content:
        remedy = "deploy the foundation stack again: it makes the client and the scope"
        raise CliError(f"{answer.status}: {answer.content}", names["token_url"], remedy)
    return str(answer.content["access_token"])


def predict_url(api_url: str, workload: str) -> str:
    """Give the address to which records are posted."""
    return f"{api_url}/v1/models/{workload}/predict"


def ask(url: str, token: str, body: bytes | None = None) -> Answer:
    """GET ``url``, or POST ``body`` to it, with ``token``."""
    return call(url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body)


def ask_as(session: Session, names: Mapping[str, str], url: str, body: bytes | None = None) -> Answer:
    """The same as the environment wants to be asked: with a fresh token, or signed by the caller's own keys.

    Raises `CliError` where there are none, or no token is had.
    """
    if session.settings.signed:
        return call(url, signature(session, url, body), body)
    return ask(url, access_token(session, names), body)


def signature(session: Session, url: str, body: bytes | None) -> dict[str, str]:
    """Give the headers of a signed request (Signature Version 4).

    Raises `CliError` where the caller has no credentials.
    """
    from botocore.auth import SigV4Auth  # noqa: PLC0415 - help does without them
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415

    credentials, region = session.aws.get_credentials(), session.aws.region_name
    if credentials is None or region is None:
        missing = "credentials" if credentials is None else "region"
        raise CliError(f"there are no AWS {missing} to sign with", url, "log in, or set AWS_PROFILE")
    request = AWSRequest("GET" if body is None else "POST", url, {"Content-Type": "application/json"}, body)
    SigV4Auth(credentials, "execute-api", region).add_auth(request)
    return dict(request.headers.items())


def curl(url: str, body: bytes | None = None, *, printer: str) -> str:
    """Give the same call for a shell; ``printer`` is the command there that prints an access token."""
    parts = [
        f"curl --silent --show-error {shlex.quote(url)}",
        f'--header "Authorization: Bearer $({printer})"',
    ]
    if body is not None:
        parts += ["--header 'Content-Type: application/json'", f"--data {shlex.quote(body.decode())}"]
    return " \\\n  ".join(parts)


def problem(answer: Answer, url: str) -> CliError:
    """Turn an answer that is none into an error; a problem document (RFC 9457) tells each field's problem."""
    content = answer.content
    if not isinstance(content, dict):
        return CliError(f"{answer.status}: {content}", url, remedy_for(answer.status))
    told = ": ".join(str(content[key]) for key in ("title", "detail", "message") if content.get(key))
    lines = [f"{answer.status} {told}"]
    lines += [
        f"  {place(each.get('record'), each.get('field'))}: {each.get('problem')}"
        for each in content.get("errors") or ()
    ]
    return CliError("\n".join(lines), url, remedy_for(answer.status))


def place(record: int | None, field: str | None) -> str:
    """Tell where a flaw is; a record may be wrong as a whole, and the body outside of its records."""
    if record is None:
        return field or "the body"
    return f"record {record}" if field is None else f"record {record}, {field}"


def remedy_for(status: int) -> str:
    """Say what a caller can do about a status."""
    if status in (401, 403):
        return (
            "a token must be of this environment: millrace token; a signature needs the stack's CallerPolicy"
        )
    if status == 503:
        return "release a model first: millrace train, then millrace release"
    if status in (400, 413, 422):
        return "correct the records; GET /v1/models/{model} tells what each field may be"
    return "see what the function says: millrace logs predict; of an endpoint, millrace logs endpoint"
