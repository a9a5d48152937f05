"""The function behind real HTTP, as the API for the Open Inference Protocol puts it there.

What API Gateway does is done here: a token is asked for, packed bodies are unpacked, every body reaches the
function in base64, and an answer in base64 leaves as bytes.
"""

from __future__ import annotations

import re
import threading
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from functions.predict.routes import Service

ROUTES = (
    ("GET", "v2"),
    ("GET", "v2/health/live"),
    ("GET", "v2/health/ready"),
    ("GET", "v2/models/{model}"),
    ("GET", "v2/models/{model}/ready"),
    ("POST", "v2/models/{model}/infer"),
    ("GET", "v2/models/{model}/versions/{version}"),
    ("GET", "v2/models/{model}/versions/{version}/ready"),
    ("POST", "v2/models/{model}/versions/{version}/infer"),
)
"""What the stack gives its API; a test of the stack holds both together."""
PATTERNS = [
    (method, f"/{path}", re.compile("/" + path.replace("{", "(?P<").replace("}", ">[^/]+)")))
    for method, path in ROUTES
]
TOKEN = "a-token"
WINDOWS = {"gzip": 31, "deflate": 15}


class Handler(BaseHTTPRequestHandler):
    """Turns requests into proxy events. One at a time, since the model's memory is one."""

    protocol_version = "HTTP/1.1"
    service: Service
    turn = threading.Lock()

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"Content-Type": "application/json"}, b'{"error": "Unauthorized"}')
            return
        found = self._route()
        if found is None:
            self._answer(404, {"Content-Type": "application/json"}, b'{"error": "Not Found"}')
            return
        with self.turn:
            response = self.service.answer(self._event(*found, body), None)
        content = response["body"]
        self._answer(
            response["statusCode"],
            response["headers"],
            b64decode(content) if response.get("isBase64Encoded") else content.encode(),
        )

    def _route(self) -> tuple[str, dict[str, str]] | None:
        for method, resource, pattern in PATTERNS:
            if method == self.command and (match := pattern.fullmatch(self.path.partition("?")[0])):
                return resource, {name: unquote(value) for name, value in match.groupdict().items()}
        return None

    def _event(self, resource: str, parameters: dict[str, str], body: bytes) -> dict[str, Any]:
        coding = self.headers.get("Content-Encoding")
        plain = zlib.decompress(body, WINDOWS[coding]) if coding else body
        return {
            "resource": resource,
            "path": self.path,
            "httpMethod": self.command,
            "headers": dict(self.headers.items()),
            "pathParameters": parameters or None,
            "requestContext": {"requestId": "0a1b2c3d"},
            "body": b64encode(plain).decode() if plain else None,
            "isBase64Encoded": bool(plain),
        }

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the function writes the log."""


@contextmanager
def gateway(service: Service) -> Iterator[str]:
    """Serve on a free port of this machine, and give the URL."""
    handler = type("Bound", (Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
