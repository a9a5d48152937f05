"""What every way to serve a model does alike: a request in, a reply out. Knows no event and no AWS."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING

import msgspec

from .bundle import Bundle, BundleError, Manifest, open_bundle
from .journal import quoted
from .predictor import Answer, Predictor
from .problem import Problem
from .request import PROBABILITIES, Request, read

if TYPE_CHECKING:
    from .open_inference import OpenInference

HEALTH = "/health"
MODEL = "/v1/models/{model}"
PREDICT = "/v1/models/{model}/predict"
JSON = "application/json"
PROBLEM = "application/problem+json"
UNRELEASED = "No model has been released yet. Train one and approve it; then this request will be answered."


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a request is answered. ``body`` is bytes where it is binary, else text.

    ``failure`` is what went wrong in here, for whoever keeps the log; the caller is not told.
    """

    body: str | bytes
    headers: dict[str, str]
    status: int = 200
    records: int = 0
    warnings: int = 0
    failure: Exception | None = None


class Core:
    """Answers with one bundle, or says that there is none. Not for more than one thread at a time."""

    def __init__(self, bundle: Bundle | None, workload: str = "") -> None:
        self.bundle = bundle
        self.predictor = Predictor(bundle) if bundle else None
        self.workload = bundle.manifest.workload if bundle else workload
        version = bundle.manifest.version if bundle else None
        named = {"x-millrace-version": version} if version else {}
        self.json_headers, self._problem_headers, self._binary_headers = (
            {"Content-Type": kind, "Cache-Control": "no-store", **named}
            for kind in (JSON, PROBLEM, PROBABILITIES)
        )
        self._about = describe(bundle.manifest) if bundle else ""
        self._open_inference: OpenInference | None = None
        self._routes: dict[str, Callable[[Request], Reply]] = {
            HEALTH: self._health,
            MODEL: self._describe,
            PREDICT: self._predict,
        }

    @classmethod
    def open(cls, place: str | PathLike[str], workload: str = "") -> Core:
        """Open the bundle in ``place`` and warm up; where ``workload`` is given, only a model of that.

        Raises BundleError, so that a bad bundle fails before its callers.
        """
        return cls.checked(place, open_bundle(place), workload)

    @classmethod
    def checked(cls, place: str | PathLike[str], bundle: Bundle | None, workload: str = "") -> Core:
        """Serve ``bundle``, which was read from ``place``, once it has answered its own examples.

        Raises BundleError.
        """
        if bundle and workload not in ("", bundle.manifest.workload):
            raise BundleError(
                f"{place} holds a model of `{bundle.manifest.workload}`, and what is to be served here is "
                f"`{workload}`; release a model of that"
            )
        core = cls(bundle, workload)
        try:
            core.warm()
        except Problem as problem:
            raise BundleError(
                f"{place}: its own examples are refused: {problem} Package the model again"
            ) from problem
        return core

    def warm(self) -> None:
        """Run the prediction path once."""
        if self.predictor:
            self.predictor.warm()

    @property
    def slow(self) -> str:
        """Why some requests take longer than they need, and what to do about it; "" where none does."""
        return self.predictor.slow if self.predictor else ""

    @property
    def open_inference(self) -> OpenInference:
        """What answers below /v2, made when first asked for."""
        if self._open_inference is None:
            from .open_inference import OpenInference  # noqa: PLC0415 - most starts need it never

            self._open_inference = OpenInference(self.bundle, self.predictor, self.workload)
        return self._open_inference

    def answer(self, request: Request) -> Reply:
        """Answer any request. Whatever a caller sent, the answer is a reply."""
        try:
            answer = self._routes.get(request.route)
            if answer is None:
                raise Problem(404, "There is no such route.")
            return answer(request)
        except Problem as problem:
            return self.refuse(problem, request.request_id)
        except Exception as error:
            return self.fail(error, request.request_id)

    def refuse(self, problem: Problem, request_id: str, **more: str | None) -> Reply:
        """Turn a problem into a reply; ``more`` adds members to its document."""
        return Reply(problem.document(request_id, **more), self._problem_headers, problem.status)

    def fail(self, error: Exception, request_id: str) -> Reply:
        """Turn an error of ours into a reply, which keeps it for the log."""
        reply = self.refuse(Problem(500, "This is our fault; quote `request_id`."), request_id)
        return Reply(reply.body, reply.headers, reply.status, failure=error)

    def _health(self, request: Request) -> Reply:
        if self.bundle is None:
            more = {"health": "unreleased", "model": self.workload or None}
            return self.refuse(Problem(503, UNRELEASED), request.request_id, **more)
        manifest = self.bundle.manifest
        about = {"status": "ok", "model": manifest.workload, "version": manifest.version}
        return Reply(msgspec.json.encode(about).decode(), self.json_headers)

    def _describe(self, request: Request) -> Reply:
        self._released(request.model)
        return Reply(self._about, self.json_headers)

    def _predict(self, request: Request) -> Reply:
        predictor, limit = self._released(request.model)
        asked = read(request, limit)
        quoted_id = quoted(request.request_id)
        if asked.form == "json":
            answer = predictor.predict(predictor.json, asked.body, quoted_id)
        else:
            answer = predictor.predict(predictor.binary, asked.body, quoted_id, floats=asked.floats)
        return self.reply(answer)

    def reply(self, answer: Answer) -> Reply:
        """Turn a prediction's answer into a reply."""
        headers = self.json_headers
        if isinstance(answer.body, bytes):
            headers = {**self._binary_headers, "x-millrace-warnings": str(answer.warnings)}
        return Reply(answer.body, headers, records=answer.records, warnings=answer.warnings)

    def _released(self, model: str) -> tuple[Predictor, int]:
        """Return what answers for ``model``, and the most bytes its body may have.

        Raises Problem 404 for another model, 503 where none is released yet.
        """
        if self.workload and model != self.workload:
            raise Problem(404, f"There is no such model here; this API serves `{self.workload}`.")
        if self.predictor is None or self.bundle is None:
            raise Problem(503, UNRELEASED)
        return self.predictor, self.bundle.manifest.limits.body_bytes


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
