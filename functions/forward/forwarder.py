"""A proxy event in, the endpoint's answer out; where there is none, an answer that says why.

A line is logged for each request. No value of a caller's record is in it, and nothing that a container said:
it may quote one.
"""

from __future__ import annotations

import http.client
import re
from time import perf_counter
from typing import Any

from .envelope import UNCOUNTED, Answer, EnvelopeError, Event, Response, unwrap, wrap
from .journal import Journal
from .problem import LATE, SILENT, UNRELEASED, problem
from .runtime import InvocationError, Runtime
from .settings import Settings

RESERVE_SECONDS = 0.5
"""What is left of the function's time to say that the model did not answer."""
HEALTH = "/health"
ABSENT = re.compile("not found|in ?service", re.IGNORECASE)
"""In SageMaker's words: there is no endpoint of that name, or none that is in service yet."""


class Forwarder:
    """The function's whole behaviour, made once at start."""

    def __init__(self, settings: Settings, runtime: Runtime) -> None:
        self._settings, self._runtime, self._journal = settings, runtime, Journal(settings)

    @classmethod
    def start(cls, settings: Settings) -> Forwarder:
        """Make ready what every request needs. Nothing is called yet: there may be no endpoint."""
        return cls(settings, Runtime(settings))

    def answer(self, event: Event, context: Any) -> Response:
        """Answer a REST API proxy event. Whatever a caller sent, the answer is a response."""
        started = perf_counter()
        request_id = str((event.get("requestContext") or {}).get("requestId") or context.aws_request_id)
        answer, about = self._answer(event, request_id, context)
        response = answer.response
        self._journal.request(
            *(request_id, event.get("resource"), response["statusCode"]),
            counts=answer.counts,
            seconds=perf_counter() - started,
            version=response["headers"].get("x-millrace-version"),
            **about,
        )
        return response

    def _answer(self, event: Event, request_id: str, context: Any) -> tuple[Answer, dict[str, Any]]:
        """Return the answer, and what the log should say about it besides."""
        try:
            headers, body = wrap(event, request_id)
        except ValueError:
            return own(problem(400, "The body is not the base64 that its event says.", request_id)), {}
        seconds = context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
        try:
            return unwrap(self._runtime.invoke(headers, body, seconds)), {}
        except InvocationError as error:
            return own(self._refused(error, event, request_id)), _told(error)
        except TimeoutError:
            return own(problem(504, LATE, request_id)), {"error": "TimeoutError"}
        except (OSError, http.client.HTTPException, EnvelopeError) as error:
            return own(problem(502, SILENT, request_id)), {"error": type(error).__name__}

    def _refused(self, error: InvocationError, event: Event, request_id: str) -> Response:
        if error.kind == "ValidationError" and ABSENT.search(error.message):
            more = {"health": "unreleased", "model": self._settings.workload}
            return problem(503, UNRELEASED, request_id, **(more if event.get("resource") == HEALTH else {}))
        if error.kind == "ModelError" and "timed out" in f"{error.message} {error.original_message}":
            return problem(504, LATE, request_id)
        return problem(502, SILENT, request_id)


def own(response: Response) -> Answer:
    """Return an answer that no model has given."""
    return Answer(response, UNCOUNTED)


def _told(error: InvocationError) -> dict[str, Any]:
    """What of SageMaker's refusal is its own word."""
    about = {"error": error.kind, "runtime_status": error.status}
    if error.kind == "ModelError":
        return {**about, "original_status": error.original_status, "log_stream": error.log_stream}
    return {**about, "reason": error.message[:300]}
