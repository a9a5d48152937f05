"""What one training job was asked to do: the contract's hyperparameters with this run's overrides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from contract.hyperparameters import override
from contract.load import workload
from contract.schema import Contract, Training

_OWN = ("workload", "run")
_SERVICE = ("sagemaker_", "_tuning_")
"""How the names begin that SageMaker adds for itself: its toolkit's, and a tuning job's objective."""


class SettingsError(ValueError):
    """A hyperparameter that the job itself needs is missing."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One training job: ``run`` names the execution of the pipeline that it belongs to."""

    contract: Contract
    run: str
    training: Training


def read_settings(file: Path) -> Settings:
    """Read SageMaker's ``hyperparameters.json``, in which every value is a string.

    Raises SettingsError where workload or run is missing, HyperparameterError where another name is unknown
    or a value does not fit.
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
