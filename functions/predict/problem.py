"""Answers to what cannot be answered: RFC 9457 problem documents."""

from __future__ import annotations

import msgspec

TITLES = {
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
"""RFC 9110's names of the statuses: what RFC 9457 asks of a problem whose type is ``about:blank``."""


class Flaw(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with one place of a request. ``record`` counts from 0; None: outside the records."""

    problem: str
    record: int | None = None
    field: str | None = None


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that gets ``status`` instead of predictions. ``detail`` says what to do about it."""

    def __init__(self, status: int, detail: str, flaws: tuple[Flaw, ...] = ()) -> None:
        super().__init__(status)
        self.status = status
        self.detail = detail
        self.flaws = flaws

    def __str__(self) -> str:
        """Return detail and flaws in one line, for who reads them elsewhere than in an answer."""
        flaws = (f"Record {flaw.record}, `{flaw.field}`: {flaw.problem}." for flaw in self.flaws)
        return " ".join((self.detail, *flaws))

    def document(self, request_id: str, **more: str | None) -> str:
        """Return the body, ``application/problem+json``; ``more`` adds members to it."""
        document = {
            "type": "about:blank",
            "title": TITLES[self.status],
            "status": self.status,
            "detail": self.detail,
            "errors": self.flaws,
            "request_id": request_id,
            **more,
        }
        return msgspec.json.encode(document).decode()


def too_many(count: int, limit: int) -> Problem:
    """Return the problem with a request of ``count`` records: none, or more than ``limit``."""
    if not count:
        return Problem(400, "There is nothing to predict: the request holds no record.")
    return Problem(413, f"There are {count} records; at most {limit} are taken. Send them in parts.")
