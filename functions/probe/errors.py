"""Why a probe fails. Step Functions takes the class's name as the error's name."""

from __future__ import annotations


class ProbeError(Exception):
    """An API does not serve the new model as it should."""


class TokenError(ProbeError):
    """No token was had, so nothing could be asked."""


class ApiError(ProbeError):
    """An API did not answer, or answered that it cannot."""


class AnswerError(ProbeError):
    """An API answered, but not as the bundle's examples say."""
