"""The function behind real HTTP, as the API for the Open Inference Protocol puts it there.

What API Gateway does is done here: a token or a signature is asked for, packed bodies are unpacked, every
body reaches the function in base64, and an answer in base64 leaves as bytes.
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

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_REGION": "eu-central-1"}
SIGNED = re.compile(
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/eu-central-1/execute-api/aws4_request, ?"
    "SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
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
        if not self._is_admitted(body):
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

    def _is_admitted(self, body: bytes) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

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


class SigningHandler(Handler):
    """Admits who signs with `KEYS`: the signature is made once more from what has arrived."""

    def _is_admitted(self, body: bytes) -> bool:
        found = SIGNED.fullmatch(self.headers.get("Authorization", ""))
        if not found or "host" not in found["headers"].split(";"):
            return False
        signed = {name: self.headers[name] for name in found["headers"].split(";")}
        asked = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", signed, body)
        asked.context["timestamp"] = self.headers["X-Amz-Date"]
        keys = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
        signer = SigV4Auth(keys, "execute-api", KEYS["AWS_REGION"])
        text = signer.string_to_sign(asked, signer.canonical_request(asked))
        return bool(signer.signature(text, asked) == found["signature"])


@contextmanager
def gateway(service: Service, kind: type[Handler] = Handler) -> Iterator[str]:
    """Serve on a free port of this machine, and give the URL."""
    handler = type("Bound", (kind,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
