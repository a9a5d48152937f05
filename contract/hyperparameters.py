"""Hyperparameters of one run: texts, as the command and SageMaker pass them, over a contract's own values.

The command checks with it before a run starts, and the training job reads with it what it was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from contract.errors import suggestion
from contract.schema import Precision, Training


class HyperparameterError(ValueError):
    """A hyperparameter that no run can follow: what is the ``problem``, and the ``remedy``."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}. {remedy}")

    def __reduce__(self) -> tuple[type[HyperparameterError], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)


def override(training: Training, overrides: Mapping[str, str]) -> Training:
    """Return ``training`` with the values of ``overrides``, each written as SageMaker passes it.

    A list of numbers may be written ``128,64`` or ``[128, 64]``. Raises HyperparameterError.
    """
    return replace(training, **{name: _value(name, text) for name, text in overrides.items()})


def _value(name: str, text: str) -> Any:
    types = get_type_hints(Training)
    if name not in types:
        raise HyperparameterError(f"there is no hyperparameter {name!r}", suggestion(name, types))
    parse, sample = _PARSERS[types[name]]
    fits, promise = RANGES[name]
    try:
        value = parse(str(text))
    except ValueError as error:
        raise HyperparameterError(f"hyperparameter {name}: {text!r} is not {sample}", _hint(name)) from error
    if not fits(value):
        raise HyperparameterError(
            f"hyperparameter {name}: {text} is out of range", f"It must be {promise}. {_hint(name)}"
        )
    return value


def _hint(name: str) -> str:
    """How the contract's default would be written."""
    return f"Write {name}={written(getattr(Training(), name))}, for example."


def written(value: object) -> str:
    """Return a hyperparameter's value as ``override`` reads it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _widths(text: str) -> tuple[int, ...]:
    parts = text.strip().strip("[]()").split(",")
    return tuple(int(part) for part in parts if part.strip())


_PARSERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    Precision: (str, "a precision"),
    tuple[int, ...]: (_widths, "a list of whole numbers"),
}

_COUNT: tuple[Callable[[Any], bool], str] = (lambda value: value >= 1, "at least 1")
RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: value >= 0, "0 or more"),
    "epochs": _COUNT,
    "patience": _COUNT,
    "batch_rows": _COUNT,
    "learning_rate": (lambda value: 0 < value < math.inf, "above 0, and finite"),
    "weight_decay": (lambda value: 0 <= value < math.inf, "0 or more, and finite"),
    "hidden": (lambda value: all(width >= 1 for width in value), "widths of at least 1"),
    "embedding": _COUNT,
    "dropout": (lambda value: 0 <= value < 1, "from 0 up to, not including, 1"),
    "precision": (lambda value: value in get_args(Precision), " or ".join(get_args(Precision))),
}
"""For each field of ``Training`` what holds of its values, in code and in words."""
