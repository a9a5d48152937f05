"""The API's routes: an API Gateway proxy event in, a proxy response out."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgspec

from . import request
from .bundle import Bundle, BundleError, Manifest, open_bundle
from .journal import Journal, Write, quoted, write_stdout
from .moment import seconds_of
from .predictor import Answer, Predictor
from .problem import Problem
from .request import Event, decoder
from .settings import Settings

Response = dict[str, Any]

HEALTH = "/health"
MODEL = "/v1/models/{model}"
PREDICT = "/v1/models/{model}/predict"
QUOTED_PREDICT = quoted(PREDICT)
JSON = "application/json"
UNRELEASED = "No model has been released yet. Train one and approve it; then this request will be answered."


class Reply(msgspec.Struct, frozen=True):
    """What a route answers, before it becomes an HTTP response."""

    body: str
    status: int = 200
    content_type: str = JSON
    records: int = 0
    warnings: int = 0
    binary: bool = False


class Service:
    """The function's whole behaviour, made once at start."""

    def __init__(self, settings: Settings, bundle: Bundle | None, write: Write = write_stdout) -> None:
        self._manifest = bundle.manifest if bundle else None
        self._predictor = Predictor(bundle) if bundle else None
        self._workload = bundle.manifest.workload if bundle else settings.workload
        version = bundle.manifest.version if bundle else None
        made_at = seconds_of(bundle.manifest.made_at) if bundle else None
        self._journal = Journal(settings.environment, self._workload, version, made_at, write)
        self._headers = {"Cache-Control": "no-store"} | ({"x-millrace-version": version} if version else {})
        self._json_headers = {"Content-Type": JSON, **self._headers}
        self._model = describe(bundle.manifest) if bundle else ""
        self._routes: dict[str, Callable[[Event, str], Reply]] = {
            HEALTH: self._health,
            MODEL: self._describe,
            PREDICT: self._predict,
        }

    @classmethod
    def start(cls, settings: Settings, write: Write = write_stdout) -> Service:
        """Open the bundle and warm up. Raises BundleError, so that a bad release fails before its callers."""
        bundle = open_bundle(settings.bundle)
        if bundle and settings.workload not in ("", bundle.manifest.workload):
            raise BundleError(
                f"{settings.bundle} holds a model of `{bundle.manifest.workload}`, and this function serves "
                f"`{settings.workload}`; release a model of that"
            )
        service = cls(settings, bundle, write)
        try:
            service.warm()
        except Problem as problem:
            raise BundleError(
                f"{settings.bundle}: its own examples are refused: {problem} Package the model again"
            ) from problem
        return service

    def warm(self) -> None:
        """Run the prediction path once."""
        if self._predictor:
            self._predictor.warm()

    def complete(self) -> None:
        """Bring in what a start leaves out because few requests need it."""
        decoder()
        if self._predictor:
            self._predictor.complete()

    def answer(self, event: Event, context: Any) -> Response:
        """Answer a REST API proxy event. Whatever a caller sent, the answer is a response."""
        started = perf_counter()
        request_id, route = identify(event, context)
        quoted_id = quoted(request_id)
        answer = self._at_once(event, route, quoted_id)
        if answer is None:
            return self._with_care(event, route, request_id, started)
        self._journal.request(
            *(quoted_id, QUOTED_PREDICT, 200),
            records=answer.records,
            warnings=answer.warnings,
            seconds=perf_counter() - started,
        )
        return {"statusCode": 200, "headers": self._json_headers, "body": answer.body}

    def _at_once(self, event: Event, route: str, quoted_id: str) -> Answer | None:
        """Answer what nearly all callers send, plain JSON for this model; None for all else."""
        if route != PREDICT or self._predictor is None:
            return None
        try:
            body = request.plain(event)
            if body is None or event["pathParameters"]["model"] != self._workload:
                return None
            return self._predictor.predict(self._predictor.json, body, quoted_id)
        except Exception:
            return None  # the careful way says what is wrong

    def _with_care(self, event: Event, route: str, request_id: str, started: float) -> Response:
        try:
            reply = self._reply(event, route, request_id)
        except Exception as error:
            self._journal.failure(request_id, route, error)
            reply = refuse(Problem(500, "This is our fault; quote `request_id`."), request_id)
        self._journal.request(
            *(quoted(request_id), quoted(route), reply.status),
            records=reply.records,
            warnings=reply.warnings,
            seconds=perf_counter() - started,
        )
        return self._response(reply)

    def _response(self, reply: Reply) -> Response:
        headers = {"Content-Type": reply.content_type, **self._headers}
        response = {"statusCode": reply.status, "headers": headers, "body": reply.body}
        if reply.binary:
            headers["x-millrace-warnings"] = str(reply.warnings)
            response["isBase64Encoded"] = True
        return response

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
        return Reply(msgspec.json.encode(about).decode())

    def _describe(self, event: Event, _request_id: str) -> Reply:
        self._released(event)
        return Reply(self._model)

    def _predict(self, event: Event, request_id: str) -> Reply:
        predictor, manifest = self._released(event)
        asked = request.read(event, manifest.limits.body_bytes)
        form: Any = predictor.binary if asked.form == "binary" else predictor.json
        answer = predictor.predict(form, asked.body, quoted(request_id), floats=asked.floats)
        content_type = request.PROBABILITIES if answer.binary else JSON
        return Reply(
            answer.body,
            content_type=content_type,
            records=answer.records,
            warnings=answer.warnings,
            binary=answer.binary,
        )

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
    request_id = (event.get("requestContext") or {}).get("requestId")
    return str(request_id or getattr(context, "aws_request_id", "")), str(event.get("resource"))


def refuse(problem: Problem, request_id: str) -> Reply:
    """Turn a problem into a reply."""
    return Reply(problem.document(request_id), problem.status, "application/problem+json")


def describe(manifest: Manifest) -> str:
    """Return the body of GET model: what the model answers, what it takes, and how good it is."""
    about = {
        "model": manifest.workload,
        "version": manifest.version,
        "made_at": manifest.made_at,
        "question": manifest.question,
        "decision": manifest.decision,
        "limits": manifest.limits,
        "features": manifest.features,
        "binary": {
            "numbers": [feature.name for feature in manifest.features if feature.kind == "number"],
            "categories": [feature.name for feature in manifest.features if feature.kind == "category"],
        },
        "examples": manifest.examples,
        "metrics": manifest.metrics,
        "data": manifest.data,
        "contract_sha256": manifest.contract_sha256,
        "git_commit": manifest.git_commit,
    }
    return msgspec.json.encode(about).decode()
