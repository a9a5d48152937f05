"""Why a probe fails. Step Functions takes the class's name as the error's name."""

from __future__ import annotations


class ProbeError(Exception):
    """The API does not serve the new model as it should."""


class TokenError(ProbeError):
    """No token was had, so nothing could be asked."""


class ApiError(ProbeError):
    """The API did not answer, or answered that it cannot."""


class AnswerError(ProbeError):
    """The API answered, but not as the bundle's examples say."""
