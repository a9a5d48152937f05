"""Hyperparameters: the contract's, with what a run overrides."""

from pathlib import Path

import pytest

from contract.hyperparameters import HyperparameterError
from tests.training.parcels import write_json
from tests.workload_factory import make_workload
from training.train.settings import SettingsError, read_settings


def test_a_run_overrides_what_the_contract_says(tmp_path: Path) -> None:
    # Given a workload whose contract trains 4 epochs, and a run that asks for two layers
    workload = make_workload(tmp_path / "workload", rows=1, seed=1)
    file = tmp_path / "hyperparameters.json"
    write_json(file, {"workload": str(workload), "run": "r7", "hidden": "[32, 16]", "learning_rate": "1e-2"})
    # When the settings are read
    settings = read_settings(file)
    # Then the run's values hold where it gave some, and the contract's elsewhere
    assert settings.run == "r7"
    assert settings.training.hidden == (32, 16)
    assert settings.training.learning_rate == pytest.approx(0.01)
    assert settings.training.epochs == settings.contract.model.training.epochs == 4


def test_what_the_service_adds_for_itself_is_no_hyperparameter(tmp_path: Path) -> None:
    # Given the hyperparameters of a tuning job's trial
    workload = make_workload(tmp_path / "workload", rows=1, seed=1)
    file = tmp_path / "hyperparameters.json"
    added = {"sagemaker_program": "start.sh", "_tuning_objective_metric": "validate_auc"}
    write_json(file, {"workload": str(workload), "run": "r7", "dropout": "0.25", **added})
    # When the settings are read, then only the trial's own count
    assert read_settings(file).training.dropout == pytest.approx(0.25)


def test_a_value_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    workload = make_workload(tmp_path / "workload", rows=1, seed=1)
    file = tmp_path / "hyperparameters.json"
    write_json(file, {"workload": str(workload), "run": "r7", "epochs": "many"})
    with pytest.raises(HyperparameterError, match="epochs: 'many' is not a whole number"):
        read_settings(file)


def test_a_run_without_a_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hyperparameters.json"
    write_json(file, {"workload": "flights"})
    with pytest.raises(SettingsError, match="run is missing"):
        read_settings(file)
