"""What is said when a contract cannot be kept."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ContractError(ValueError):
    """A fault in a workload's folder: its ``file``, the ``key`` there, the ``problem``, the ``remedy``."""

    def __init__(self, file: str, key: str, problem: str, remedy: str) -> None:
        self.file = file
        self.key = key
        self.problem = problem
        self.remedy = remedy
        place = f"{file}: {key}" if key else file
        super().__init__(f"{place}: {problem}. {remedy}")

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, str, str, str]]:
        return type(self), (self.file, self.key, self.problem, self.remedy)


def listing(names: Iterable[str]) -> str:
    """``names`` in one line, quoted, for a message; "none" when there are none."""
    return ", ".join(f'"{name}"' for name in names) or "none"


def suggestion(name: str, known: Iterable[str]) -> str:
    """A remedy for a name that is not in ``known``: the closest one, or all of them."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f'Did you mean "{close[0]}"?' if close else f"Known here: {listing(names)}."
