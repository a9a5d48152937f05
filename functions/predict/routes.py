"""The API's routes: an API Gateway proxy event in, a proxy response out."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import Any

import msgspec

from .bundle import Bundle, Manifest, open_bundle
from .journal import Journal
from .predictor import Predictor
from .problem import Problem
from .settings import Settings

Event = dict[str, Any]
Response = dict[str, Any]

UNRELEASED = "No model has been released yet. Train one and approve it; then this request will be answered."


class Reply(msgspec.Struct, frozen=True):
    """What a route answers, before it becomes an HTTP response."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    records: int = 0
    warnings: int = 0


class Service:
    """The function's whole behaviour, made once at start."""

    def __init__(self, settings: Settings, bundle: Bundle | None) -> None:
        self._manifest = bundle.manifest if bundle else None
        self._predictor = Predictor(bundle) if bundle else None
        self._workload = bundle.manifest.workload if bundle else settings.workload
        version = bundle.manifest.version if bundle else None
        self._journal = Journal(settings.environment, self._workload, version)
        self._headers = {"Cache-Control": "no-store"} | ({"x-millrace-version": version} if version else {})
        self._model = describe(bundle.manifest) if bundle else b""
        self._routes = {
            "/health": self._health,
            "/v1/models/{model}": self._describe,
            "/v1/models/{model}/predict": self._predict,
        }

    @classmethod
    def start(cls, settings: Settings) -> Service:
        """Open the bundle and warm up. Raises BundleError, so that a bad release fails before its callers."""
        service = cls(settings, open_bundle(settings.bundle))
        service.warm()
        return service

    def warm(self) -> None:
        """Run the prediction path once."""
        if self._predictor:
            self._predictor.warm()

    def answer(self, event: Event, context: Any) -> Response:
        """Answer a REST API proxy event. Whatever a caller sent, the answer is a response."""
        started = time.perf_counter()
        request_id, route = identify(event, context)
        try:
            reply = self._reply(event, route, request_id)
        except Exception as error:
            self._journal.failure(request_id, route, error)
            reply = refuse(Problem(500, "This is our fault; quote `request_id`."), request_id)
        self._journal.request(
            request_id,
            route,
            reply.status,
            records=reply.records,
            warnings=reply.warnings,
            seconds=time.perf_counter() - started,
        )
        return {
            "statusCode": reply.status,
            "headers": {"Content-Type": reply.content_type, **self._headers},
            "body": reply.body.decode(),
        }

    def _reply(self, event: Event, route: str, request_id: str) -> Reply:
        answer = self._routes.get(route)
        if answer is None:
            return refuse(Problem(404, "There is no such route."), request_id)
        try:
            return answer(event, request_id)
        except Problem as problem:
            return refuse(problem, request_id)

    def _health(self, _event: Event, request_id: str) -> Reply:
        if self._manifest is None:
            problem = Problem(503, UNRELEASED)
            more = {"health": "unreleased", "model": self._workload or None}
            return Reply(problem.document(request_id, **more), 503, "application/problem+json")
        about = {"status": "ok", "model": self._manifest.workload, "version": self._manifest.version}
        return Reply(msgspec.json.encode(about))

    def _describe(self, event: Event, _request_id: str) -> Reply:
        self._released(event)
        return Reply(self._model)

    def _predict(self, event: Event, request_id: str) -> Reply:
        predictor, manifest = self._released(event)
        check_media_type(event)
        answer = predictor.predict(read_body(event, manifest.limits.body_bytes), request_id)
        return Reply(msgspec.json.encode(answer), records=len(answer.predictions), warnings=answer.warnings())

    def _released(self, event: Event) -> tuple[Predictor, Manifest]:
        """Return what answers for the path's model; raise Problem 404 for another, 503 for none yet."""
        model = (event.get("pathParameters") or {}).get("model")
        if self._workload and model != self._workload:
            raise Problem(404, f"There is no such model here; this API serves `{self._workload}`.")
        if self._predictor is None or self._manifest is None:
            raise Problem(503, UNRELEASED)
        return self._predictor, self._manifest


def identify(event: Event, context: Any) -> tuple[str, str]:
    """Return the request's id (API Gateway's, else Lambda's) and its route."""
    request_id = (event.get("requestContext") or {}).get("requestId") or getattr(
        context, "aws_request_id", ""
    )
    return str(request_id), str(event.get("resource"))


def refuse(problem: Problem, request_id: str) -> Reply:
    """Turn a problem into a reply."""
    return Reply(problem.document(request_id), problem.status, "application/problem+json")


def describe(manifest: Manifest) -> bytes:
    """Return the body of GET model: what the model answers, what it takes, and how good it is."""
    return msgspec.json.encode(
        {
            "model": manifest.workload,
            "version": manifest.version,
            "question": manifest.question,
            "decision": manifest.decision,
            "limits": manifest.limits,
            "features": manifest.features,
            "examples": manifest.examples,
            "metrics": manifest.metrics,
            "data": manifest.data,
            "contract_sha256": manifest.contract_sha256,
            "git_commit": manifest.git_commit,
        }
    )


def check_media_type(event: Event) -> None:
    """Raise Problem 415 unless the body is declared as JSON (or not declared at all)."""
    declared = header(event, "content-type")
    media = declared.partition(";")[0].strip().lower()
    if (
        media
        and media != "application/json"
        and not (media.startswith("application/") and media.endswith("+json"))
    ):
        raise Problem(415, "The body must be JSON: send the header `Content-Type: application/json`.")
    if header(event, "content-encoding").strip().lower() not in ("", "identity"):
        raise Problem(415, "A compressed body is not taken: send it without `Content-Encoding`.")


def header(event: Event, name: str) -> str:
    """Return the value of a header whatever the case of its name, or ""."""
    headers = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name and value), "")


def read_body(event: Event, limit: int) -> bytes:
    """Return the body's bytes; raise Problem 400 where there is none, 413 where it is far too large."""
    body = event.get("body")
    if not body:
        raise Problem(400, 'There is no body. Send {"records": [{…}, …]}.')
    if len(body) > 2 * limit:
        raise Problem(413, f"The body is too large; at most {limit} bytes are taken.")
    try:
        return b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except ValueError:
        raise Problem(400, "The body is not UTF-8 text.") from None
