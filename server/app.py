"""From a request's head and body to the whole answer: the server's routes around the prediction core."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from time import perf_counter

from functions.predict.core import HEALTH, MODEL, PREDICT, Core, Reply
from functions.predict.moment import seconds_of
from functions.predict.problem import Problem
from functions.predict.request import Request

from .envelope import is_enveloped, status_of, unwrap, wrap
from .log import Log
from .metrics import CONTENT_TYPE, Metrics
from .wire import Head, Refusal, start_line

PING, INVOCATIONS, METRICS, OPEN, UNKNOWN = "/ping", "/invocations", "/metrics", "/v2", "unknown"
METHODS = {
    HEALTH: ("GET", "HEAD"),
    PING: ("GET", "HEAD"),
    METRICS: ("GET", "HEAD"),
    MODEL: ("GET", "HEAD"),
    PREDICT: ("POST",),
    INVOCATIONS: ("POST",),
}
MODELS = "/v1/models/"
SMALLEST_CAP = 1_000_000
"""Bytes of a body that are read whatever the model's limit: more than any envelope or tensor head needs."""


class App:
    """Answers every request of one process. A newer model is given to it between two requests."""

    def __init__(self, core: Core, metrics: Metrics, log: Log, *, access: bool = False) -> None:
        self.metrics, self._log, self._access = metrics, log, access
        self._id_head, self._ids = os.urandom(12).hex(), 0
        self._hot = metrics.series(PREDICT, 200)
        self._own: dict[str, Callable[[Request], Reply]] = {
            PING: self._ping,
            INVOCATIONS: self._invoke,
            METRICS: self._tell_metrics,
        }
        self.tick()
        self.serve(core)

    def serve(self, core: Core) -> None:
        """Answer with ``core`` from now on, and close what answered before."""
        before, self.core = getattr(self, "core", None), core
        self._predictor = core.predictor
        self._made_at = seconds_of(core.bundle.manifest.made_at) if core.bundle else None
        self._predict_path = f"{MODELS}{core.workload}/predict"
        limit = core.bundle.manifest.limits.body_bytes if core.bundle else 0
        # The core itself says what is wrong with a body of up to twice its limit.
        self.most_bytes = max(2 * limit, SMALLEST_CAP)
        self._hot_head = start_line(200) + lines_of(core.json_headers)
        if before and before.bundle:
            before.bundle.model.close()
            del before
            # Types and functions made for a manifest hold each other, and answering makes next to nothing
            # that would have Python look for such: a server of many bundles would keep them all.
            gc.collect()

    def tick(self) -> None:
        """Do what every second asks for: set the clock of the answers' ``Date``, publish what was counted."""
        self.date = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime())
        self.metrics.publish()

    def answer(self, head: Head, body: bytes, *, last: bool) -> bytes:
        """Answer a request; with ``last`` the caller is told that the connection ends."""
        started = perf_counter()
        request_id = head.request_id or self.new_id()
        if head.path == self._predict_path and head.plain and self._predictor and head.method == "POST":
            try:
                answer = self._predictor.predict(self._predictor.json, body, f'"{request_id}"')
            except Exception:
                return self._with_care(head, body, request_id, started, last=last)
            content = answer.body.encode()  # type: ignore[union-attr] # JSON is answered in JSON
            whole = self._written(self._hot_head, content, head, request_id, last=last)
            self._hot.add(perf_counter() - started, answer.records, answer.warnings)
            if self._access:
                self._log_access(head, request_id, 200, started)
            return whole
        return self._with_care(head, body, request_id, started, last=last)

    def refuse(self, refusal: Refusal) -> bytes:
        """Return the answer to bytes that are no request; the connection ends with it."""
        reply = self.core.refuse(Problem(refusal.status, refusal.detail), self.new_id())
        self.metrics.series(UNKNOWN, refusal.status).add(0.0, 0, 0)
        top = f"{start_line(reply.status)}{lines_of(reply.headers)}{self.date}Connection: close\r\n"
        content = bytes_of(reply)
        return f"{top}Content-Length: {len(content)}\r\n\r\n".encode("latin-1") + content

    def new_id(self) -> str:
        """Return an id for a request that brings none: 32 hexadecimal digits, never the same again."""
        self._ids += 1
        return f"{self._id_head}{self._ids:08x}"

    def _with_care(self, head: Head, body: bytes, request_id: str, started: float, *, last: bool) -> bytes:
        route, model = route_of(head.path)
        try:
            reply = self._reply(route, Request(route, model, head.headers, body, request_id), head)
        except Exception as error:
            reply = self.core.fail(error, request_id)
        if reply.failure:
            self._log.failure(request_id, route, reply.failure)
        top = start_line(reply.status) + lines_of(reply.headers)
        whole = self._written(top, bytes_of(reply), head, request_id, last=last)
        status = status_of(reply)
        self.metrics.series(route, status).add(perf_counter() - started, reply.records, reply.warnings)
        if self._access:
            self._log_access(head, request_id, status, started)
        return whole

    def _written(self, top: str, content: bytes, head: Head, request_id: str, *, last: bool) -> bytes:
        ends = "Connection: close\r\n" if last else "Connection: keep-alive\r\n" if head.old else ""
        whole = f"{top}{self.date}{ends}x-request-id: {request_id}\r\nContent-Length: {len(content)}\r\n\r\n"
        return whole.encode("latin-1") + (b"" if head.method == "HEAD" else content)

    def _log_access(self, head: Head, request_id: str, status: int, started: float) -> None:
        spent = round((perf_counter() - started) * 1000, 3)
        told = {"request_id": request_id, "method": head.method, "status": status, "milliseconds": spent}
        self._log.info("request", **told, route=route_of(head.path)[0])

    def _reply(self, route: str, request: Request, head: Head) -> Reply:
        if route == OPEN:
            return self._infer(head, request)
        methods = METHODS.get(route, ())
        if methods and head.method not in methods:
            problem = Problem(405, f"This route takes {' and '.join(methods)}.")
            return with_header(self.core.refuse(problem, request.request_id), "Allow", ", ".join(methods))
        return self._own.get(route, self.core.answer)(request)

    def _infer(self, head: Head, request: Request) -> Reply:
        """Answer by the Open Inference Protocol."""
        method = "GET" if head.method == "HEAD" else head.method
        found = self.core.open_inference.answer(method, head.path, request.headers, request.body)
        return Reply(found.body, found.headers, found.status, found.records, found.warnings)

    def _ping(self, request: Request) -> Reply:
        """Say whether the model answers, by asking it; what it says is that of /health."""
        try:
            self.core.warm()
        except Exception as error:
            reply = self.core.refuse(Problem(503, "The model does not answer."), request.request_id)
            return Reply(reply.body, reply.headers, reply.status, failure=error)
        return self.core.answer(of_route(request, HEALTH, ""))

    def _invoke(self, request: Request) -> Reply:
        """Answer what SageMaker passes on: a body for this model, or a whole request in an envelope."""
        if not is_enveloped(request.headers):
            return self.core.answer(of_route(request, PREDICT, self.core.workload))
        try:
            inner = unwrap(request.headers, request.body)
        except ValueError:
            return self.core.refuse(Problem(400, "The envelope cannot be read."), request.request_id)
        reply = self.core.answer(inner)
        if reply.failure:  # told here: the caller knows the inner request's id, not this one's
            self._log.failure(inner.request_id, inner.route, reply.failure)
        return wrap(reply, self._made_at)

    def _tell_metrics(self, _request: Request) -> Reply:
        manifest = self.core.bundle.manifest if self.core.bundle else None
        text = self.metrics.text(
            (manifest.workload, manifest.version) if manifest else None,
            None if self._made_at is None else time.time() - self._made_at,
        )
        return Reply(text, {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def route_of(path: str) -> tuple[str, str]:
    """Return a path's route, and the model it names, "" for none."""
    if path.startswith(MODELS):
        model, slash, rest = path.removeprefix(MODELS).partition("/")
        if model and (not slash or rest == "predict"):
            return (PREDICT if slash else MODEL), model
    if path == OPEN or path.startswith(f"{OPEN}/"):
        return OPEN, ""
    return (path if path in METHODS else UNKNOWN), ""


def of_route(request: Request, route: str, model: str) -> Request:
    """Return the same request to another route."""
    return Request(route, model, request.headers, request.body, request.request_id)


def with_header(reply: Reply, name: str, value: str) -> Reply:
    """Return the reply with one header more."""
    return Reply(reply.body, {**reply.headers, name: value}, reply.status)


def bytes_of(reply: Reply) -> bytes:
    """Return the body as it goes over the wire."""
    return reply.body if isinstance(reply.body, bytes) else reply.body.encode()


def lines_of(headers: Mapping[str, str]) -> str:
    """Return headers as lines; what no header may hold becomes "?"."""
    return "".join([f"{name}: {_lawful(value)}\r\n" for name, value in headers.items()])


def _lawful(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return "".join(letter if " " <= letter <= "~" else "?" for letter in value)
