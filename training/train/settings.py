"""What one training job was asked to do: the contract's hyperparameters with this run's overrides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from contract.load import workload
from contract.schema import Contract, Training

_OWN = ("workload", "run")
_SERVICE = ("sagemaker_", "_tuning_")
"""How the names begin that SageMaker adds for itself: its toolkit's, and a tuning job's objective."""


class SettingsError(ValueError):
    """A hyperparameter that the job cannot follow."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One training job: ``run`` names the execution of the pipeline that it belongs to."""

    contract: Contract
    run: str
    training: Training


def read_settings(file: Path) -> Settings:
    """Read SageMaker's ``hyperparameters.json``, in which every value is a string.

    Raises SettingsError where a name is missing or unknown, or a value does not fit.
    """
    given: dict[str, str] = json.loads(file.read_text())
    absent = [name for name in _OWN if not given.get(name)]
    if absent:
        raise SettingsError(f"{file.name}: {absent[0]} is missing; pass the hyperparameters workload and run")
    contract = workload(given["workload"])
    overrides = {
        name: value for name, value in given.items() if name not in _OWN and not name.startswith(_SERVICE)
    }
    return Settings(
        contract=contract, run=given["run"], training=override(contract.model.training, overrides)
    )


def override(training: Training, overrides: Mapping[str, str]) -> Training:
    """Return ``training`` with the values of ``overrides``, each written as SageMaker passes it.

    A list of numbers may be written ``128,64`` or ``[128, 64]``. Raises SettingsError.
    """
    types = get_type_hints(Training)
    changed = replace(training, **{name: _parsed(name, text, types) for name, text in overrides.items()})
    for field in fields(changed):
        _check_range(field.name, getattr(changed, field.name))
    return changed


def _parsed(name: str, text: str, types: Mapping[str, Any]) -> Any:
    if name not in types:
        near = get_close_matches(name, types, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(types))}"
        raise SettingsError(f"unknown hyperparameter {name!r}: {hint}")
    parse = _PARSERS[types[name]]
    try:
        return parse(str(text))
    except ValueError as error:
        raise SettingsError(f"hyperparameter {name}: {text!r} is not {_SAMPLES[types[name]]}") from error


def _widths(text: str) -> tuple[int, ...]:
    parts = text.strip().strip("[]()").split(",")
    return tuple(int(part) for part in parts if part.strip())


_PARSERS: dict[Any, Callable[[str], Any]] = {int: int, float: float, tuple[int, ...]: _widths}
_SAMPLES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    tuple[int, ...]: "a list of whole numbers such as 128,64",
}


def _check_range(name: str, value: Any) -> None:
    if name in _RANGES:
        fits, promise = _RANGES[name]
        if not fits(value):
            raise SettingsError(f"hyperparameter {name}: {value} is out of range; it must be {promise}")


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda value: value >= 1, "at least 1"),
    "patience": (lambda value: value >= 1, "at least 1"),
    "batch_rows": (lambda value: value >= 1, "at least 1"),
    "learning_rate": (lambda value: value > 0, "above 0"),
    "weight_decay": (lambda value: value >= 0, "0 or more"),
    "hidden": (lambda value: all(width >= 1 for width in value), "widths of at least 1"),
    "embedding": (lambda value: value >= 1, "at least 1"),
    "dropout": (lambda value: 0 <= value < 1, "from 0 up to, not including, 1"),
}
