"""Why an image could not be had."""

from __future__ import annotations


class BuildError(Exception):
    """A build that failed, or did not end in time. The message is what the deploy reports."""
