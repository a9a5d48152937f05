"""Why a run stops before it is published."""

from __future__ import annotations


class PreprocessError(RuntimeError):
    """Data or SQL that cannot become examples. The message is one line: what, where, what to do."""


class BrokenRuleError(PreprocessError):
    """At least one quality rule does not hold; ``quality.json`` has all verdicts."""
