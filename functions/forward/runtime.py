"""SageMaker's runtime, called over one connection that is kept open between requests."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from .settings import Settings
from .signature import signed

CONNECT_SECONDS = 2.0
LOST = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError)
"""How a kept connection shows that the other side has closed it."""


class InvocationError(Exception):
    """SageMaker's refusal, by its name: ``kind`` such as ``ModelError``, ``ValidationError``."""

    def __init__(self, status: int, kind: str, about: Mapping[str, Any]) -> None:
        self.status, self.kind = status, kind
        self.message = str(about.get("Message") or about.get("message") or "")
        self.original_status = about.get("OriginalStatusCode")
        self.original_message = str(about.get("OriginalMessage") or "")
        self.log_stream = about.get("LogStreamArn")
        super().__init__(f"{status} {kind}")


class Runtime:
    """One endpoint's ``invoke``. Not for more than one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = f"/endpoints/{settings.endpoint}/invocations"
        self._host = urlsplit(settings.url).netloc
        self._connection = self._connect(settings.url)

    def _connect(self, url: str) -> http.client.HTTPConnection:
        if url.startswith("https://"):
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, timeout=CONNECT_SECONDS, context=context)
        if not url.startswith("http://127.0.0.1:"):
            raise ValueError(f"{url}: not https; correct the deployment's settings")
        return http.client.HTTPConnection(self._host, timeout=CONNECT_SECONDS)

    def invoke(self, headers: Mapping[str, str], body: bytes, seconds: float) -> bytes:
        """Return what the endpoint answers within ``seconds``.

        Raises ``InvocationError`` where SageMaker refuses, ``TimeoutError`` where nobody answers in time, and
        ``OSError`` or ``http.client.HTTPException`` where there is no way through. A lost connection is made
        again once: asking a model twice changes nothing.
        """
        try:
            try:
                return self._ask(headers, body, seconds)
            except LOST:
                self._connection.close()
                return self._ask(headers, body, seconds)
        except InvocationError:
            raise
        except Exception:
            # Whatever it was, an answer may still be on its way: it must not meet the next request.
            self._connection.close()
            raise

    def _ask(self, headers: Mapping[str, str], body: bytes, seconds: float) -> bytes:
        settings, connection = self._settings, self._connection
        complete = signed(
            self._path,
            {"host": self._host, **headers},
            body,
            credentials=settings.credentials,
            region=settings.region,
            now=datetime.now(UTC),
        )
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(seconds)
        connection.request("POST", self._path, body, complete)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            kind = (answer.headers.get("x-amzn-errortype") or "").partition(":")[0]
            raise InvocationError(answer.status, kind, _members(content))
        return content


def _members(content: bytes) -> dict[str, Any]:
    """The members of a refusal; none where it is no JSON object."""
    try:
        about = json.loads(content)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}
