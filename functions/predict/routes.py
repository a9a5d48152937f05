"""The function before its model: an API Gateway proxy event in, a proxy response out."""

from __future__ import annotations

from binascii import b2a_base64
from time import perf_counter
from typing import Any

from .core import PREDICT, Core, Reply
from .event import EncodedForm, Event, decoder, identify, open_request, packed, plain, request_of
from .journal import Journal, Write, quoted, write_stdout
from .moment import seconds_of
from .predictor import Answer
from .problem import Problem
from .settings import Settings

__all__ = ["PREDICT", "Response", "Service"]

Response = dict[str, Any]

QUOTED_PREDICT = quoted(PREDICT)


class Service:
    """The function's whole behaviour, made once at start."""

    def __init__(self, settings: Settings, core: Core, write: Write = write_stdout) -> None:
        self._core, self._predictor, self._workload = core, core.predictor, core.workload
        self._encoded = EncodedForm(core.predictor.binary) if core.predictor else None
        self._json_headers = core.json_headers
        self._journal = journal(settings.environment, core, write)

    @classmethod
    def start(cls, settings: Settings, write: Write = write_stdout) -> Service:
        """Open the bundle and warm up. Raises BundleError, so that a bad release fails before its callers."""
        service = cls(settings, Core.open(settings.bundle, settings.workload), write)
        if slow := service._core.slow:
            service._journal.warning(slow)
        return service

    def warm(self) -> None:
        """Run the prediction path once."""
        self._core.warm()

    def complete(self) -> None:
        """Bring in what a start leaves out because few requests need it."""
        decoder()
        _ = self._core.open_inference  # made by being asked for

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
        if isinstance(answer.body, str):
            return {"statusCode": 200, "headers": self._json_headers, "body": answer.body}
        return response(self._core.reply(answer))

    def _at_once(self, event: Event, route: str, quoted_id: str) -> Answer | None:
        """Answer what nearly all callers send, JSON or binary records for this model; None for all else."""
        if route != PREDICT or self._predictor is None or self._encoded is None:
            return None
        try:
            if event["pathParameters"]["model"] != self._workload:
                return None
            if body := plain(event):
                return self._predictor.predict(self._predictor.json, body, quoted_id)
            if asked := packed(event):
                body, floats = asked
                return self._predictor.predict(self._encoded, body, quoted_id, floats=floats)
            return None
        except Exception:
            return None  # the careful way says what is wrong

    def _with_care(self, event: Event, route: str, request_id: str, started: float) -> Response:
        reply = self._reply(event, route, request_id)
        if reply.failure:
            self._journal.failure(request_id, route, reply.failure)
        self._journal.request(
            *(quoted(request_id), quoted(route), reply.status),
            records=reply.records,
            warnings=reply.warnings,
            seconds=perf_counter() - started,
        )
        return response(reply)

    def _reply(self, event: Event, route: str, request_id: str) -> Reply:
        if route.startswith("/v2"):
            return self._open_reply(event)
        try:
            asked = request_of(event, route, request_id)
        except Problem as problem:
            return self._core.refuse(problem, request_id)
        except Exception as error:
            return self._core.fail(error, request_id)
        return self._core.answer(asked)

    def _open_reply(self, event: Event) -> Reply:
        """Answer what is asked by the Open Inference Protocol, which has errors of its own."""
        inference = self._core.open_inference
        try:
            return inference.answer(*open_request(event))
        except Problem as problem:
            return inference.refuse(problem)


def response(reply: Reply) -> Response:
    """Return the proxy response of a reply: what is binary in base64, as API Gateway wants it."""
    if isinstance(reply.body, str):
        return {"statusCode": reply.status, "headers": reply.headers, "body": reply.body}
    body = b2a_base64(reply.body, newline=False).decode()
    return {"statusCode": reply.status, "headers": reply.headers, "body": body, "isBase64Encoded": True}


def journal(environment: str, core: Core, write: Write) -> Journal:
    """Return the log of a function that answers by ``core``."""
    manifest = core.bundle.manifest if core.bundle else None
    made_at = seconds_of(manifest.made_at) if manifest else None
    return Journal(environment, core.workload, manifest.version if manifest else None, made_at, write)
