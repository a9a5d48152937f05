"""What a look at an assumption finds, and which assumptions there are to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.errors import explain

if TYPE_CHECKING:
    from tests.smoke_aws.environment import Environment


@dataclass(frozen=True)
class Finding:
    """One sentence of evidence."""

    evidence: str

    @property
    def verdict(self) -> str:
        """The kind of finding, as the report writes it."""
        return type(self).__name__.lower()


class Settled(Finding):
    """The assumption holds here."""


class Refuted(Finding):
    """The assumption is false here."""


class Unknown(Finding):
    """Nothing has been seen that would tell, or it could not be looked at."""


Look = Callable[["Environment"], Finding]


@dataclass(frozen=True)
class Check:
    """How an assumption is looked at; ``only_aws`` says why the laptop cannot tell, where it cannot."""

    id: str
    look: Look
    only_aws: str = ""


CHECKS: dict[str, Check] = {}
"""Every check by the assumption's id in docs/unproved.md; the modules beside this one fill it."""


def assumption(id: str, *, only_aws: str = "") -> Callable[[Look], Look]:
    """Register a function as the look at the assumption ``id``."""

    def register(look: Look) -> Look:
        if id in CHECKS:
            raise ValueError(f"{id} is looked at twice: by {CHECKS[id].look.__name__} and {look.__name__}")
        CHECKS[id] = Check(id, look, only_aws)
        return look

    return register


def settle(check: Check, environment: Environment) -> Finding:
    """Look at one assumption; whatever keeps the check from looking leaves it unknown, with the reason."""
    if environment.session.local and check.only_aws:
        return Unknown(f"this is the laptop, and only AWS can tell: {check.only_aws}")
    try:
        return check.look(environment)
    except Exception as error:
        told = explain(error)
        reason = f"{told.where}: {told.problem}" if told else f"{type(error).__name__}: {error}"
        return Unknown(f"it could not be looked at: {reason}")
