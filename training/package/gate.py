"""The gate: may this bundle be released? A pure function of what was measured and what was promised."""

from __future__ import annotations

import math
from dataclasses import dataclass

from contract.schema import Budget, Floor
from training.train.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The largest |difference| of probability between a model and its graphs, over ``rows`` rows."""

    max_abs_difference: float
    rows: int

    @property
    def finite(self) -> float | None:
        """The difference as JSON takes it: None where a graph has no answer, which counts as infinite."""
        return self.max_abs_difference if math.isfinite(self.max_abs_difference) else None


@dataclass(frozen=True, kw_only=True)
class Challenger:
    """What was measured of the new bundle: ``test`` on the test split, ``bytes`` of its graphs."""

    test: Metrics
    parity: Parity
    bytes: int
    quantised_parity: float | None = None
    """The contract's budget for 8-bit graphs, where these are of that kind; it replaces the other one."""
    obstacle: str = ""
    """Why the contest had nobody to choose."""


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The model in service on the challenger's test rows.

    ``test`` is None where it cannot be measured on them, and ``obstacle`` then says why.
    """

    version: str
    test: Metrics | None
    obstacle: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether the bundle passed. ``reasons`` explain a refusal; ``remarks`` refuse nothing."""

    reasons: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """A bundle passes unless something speaks against it."""
        return not self.reasons


def judge(challenger: Challenger, floor: Floor, budget: Budget, champion: Champion | None) -> Verdict:
    """Hold ``challenger`` against the contract's floor and budget and, on the same rows, the champion.

    A champion that cannot be measured on these rows (a feature it needs is gone) refuses nothing: else
    a contract could never change.
    """
    checks = (
        challenger.obstacle,
        _quality(challenger.test, floor),
        _parity(challenger, budget),
        _size(challenger.bytes, budget),
        _against(champion, challenger.test, budget),
    )
    return Verdict(reasons=tuple(reason for reason in checks if reason), remarks=_remarks(champion))


def _quality(test: Metrics, floor: Floor) -> str:
    if math.isnan(test.auc):
        return f"the test split's {test.rows} rows are all of one class, so its AUC is undefined"
    if test.auc < floor.auc:
        return f"test AUC {test.auc:.4f} is below the contract's floor of {floor.auc:.4f}"
    return ""


def _parity(challenger: Challenger, budget: Budget) -> str:
    parity, own = challenger.parity, challenger.quantised_parity
    allowed = budget.parity if own is None else own
    if parity.max_abs_difference <= allowed:
        return ""
    return (
        f"the graphs' probabilities differ from the model's by up to {parity.max_abs_difference:.2g} "
        f"on {parity.rows} rows; the contract's budget allows {allowed:.2g}"
    )


def _size(size: int, budget: Budget) -> str:
    if size <= budget.bytes:
        return ""
    return f"the graphs have {size} bytes together; the contract's budget allows {budget.bytes}"


def _against(champion: Champion | None, test: Metrics, budget: Budget) -> str:
    if champion is None or champion.test is None or math.isnan(champion.test.auc):
        return ""
    loss = champion.test.auc - test.auc
    if loss <= budget.auc_loss:
        return ""
    return (
        f"test AUC {test.auc:.4f} is {loss:.4f} below champion {champion.version}'s {champion.test.auc:.4f} "
        f"on the same {test.rows} rows; the contract's budget allows {budget.auc_loss:.4f}"
    )


def _remarks(champion: Champion | None) -> tuple[str, ...]:
    if champion is None or champion.test is not None:
        return ()
    return (f"not compared with champion {champion.version}: {champion.obstacle}",)
