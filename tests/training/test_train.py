"""Training jobs as SageMaker runs them: hosts, folders, signals, exit statuses."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
import torch

from tests.training.conftest import HOSTS, LONG
from tests.training.hosts import children, finish, host_folder, kill, result, running, train, wait_until
from tests.training.parcels import Run
from training.train.launch import main

pytestmark = pytest.mark.torch

# Without an end that a test would wait for.
ENDLESS = {"epochs": "100000", "patience": "100000"}


def checkpoints(base: Path) -> list[Path]:
    return sorted((base / "checkpoints").glob("epoch-*.pt"))


def final_weights(base: Path) -> dict[str, torch.Tensor]:
    state = torch.load(checkpoints(base)[-1], weights_only=True)
    weights: dict[str, torch.Tensor] = state["model"]
    return weights


def test_two_hosts_end_with_identical_parameters(two_hosts: list[Path]) -> None:
    first, second = (final_weights(base) for base in two_hosts)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_first_host_alone_leaves_the_model(two_hosts: list[Path]) -> None:
    assert sorted(file.name for file in (two_hosts[0] / "model").iterdir()) == ["model.json", "weights.pt"]
    assert not (two_hosts[1] / "model").exists()


def test_the_model_has_learnt_and_keeps_the_class_prior(two_hosts: list[Path]) -> None:
    metrics = result(two_hosts[0])["facts"]["metrics"]["validate"]
    assert metrics["auc"] > 0.8
    assert metrics["rows"] == 1501, "validation must count every row once, though two ranks cannot halve them"
    assert metrics["calibration_error"] < 0.08


def test_every_epoch_prints_one_line_of_metrics(two_hosts: list[Path]) -> None:
    log = (two_hosts[0] / "log").read_text()
    epochs = result(two_hosts[0])["facts"]["history"]
    for name in (
        "epoch",
        "train_loss",
        "validate_loss",
        "validate_auc",
        "rows_per_second",
        "waiting_for_data",
    ):
        assert len(re.findall(rf"^millrace .*\b{name}=([0-9.eE+-]+)", log, re.MULTILINE)) == len(epochs)
    assert "millrace epoch=" not in (two_hosts[1] / "log").read_text()


def test_the_last_metrics_in_the_log_are_those_of_the_model_that_is_kept(two_hosts: list[Path]) -> None:
    # SageMaker takes a metric's last value for the job's, and a tuning job decides by it
    log = (two_hosts[0] / "log").read_text()
    kept = result(two_hosts[0])["facts"]["metrics"]["validate"]
    for name, value in (("validate_auc", kept["auc"]), ("validate_loss", kept["log_loss"])):
        assert float(re.findall(rf"\b{name}=([0-9.eE+-]+)", log)[-1]) == pytest.approx(value, rel=1e-4)


def test_killed_hosts_resume_to_the_same_result(run: Run, two_hosts: list[Path], tmp_path: Path) -> None:
    # Given two hosts that are killed once both have a checkpoint
    bases = [host_folder(tmp_path / host, run, HOSTS, host, **LONG) for host in HOSTS]
    with running(bases) as processes:
        wait_until(lambda: all(checkpoints(base) for base in bases))
        kill(processes)
    assert not (bases[0] / "model").exists(), "it was not killed in the middle"
    # When the same job starts again
    assert train(bases) == [0, 0], (bases[0] / "log").read_text()
    # Then it goes on where it was, and ends where the undisturbed one did
    resumed = re.findall(r"resuming after epoch (\d+)", (bases[0] / "log").read_text())
    assert resumed, "it began anew"
    ours, theirs = (result(base)["facts"]["metrics"]["validate"] for base in (bases[0], two_hosts[0]))
    assert ours["auc"] == pytest.approx(theirs["auc"], abs=1e-3)
    assert ours["log_loss"] == pytest.approx(theirs["log_loss"], abs=1e-3)


def test_an_unknown_hyperparameter_fails_with_its_name_as_the_reason(run: Run, tmp_path: Path) -> None:
    base = host_folder(tmp_path, run, ["algo-1"], "algo-1", learning_rat="0.1")
    assert train([base]) == [1]
    reason = (base / "output/failure").read_text()
    first, *rest = reason.splitlines()
    assert first == (
        "HyperparameterError: there is no hyperparameter 'learning_rat'. Did you mean \"learning_rate\"?"
    )
    assert "settings.py" in "\n".join(rest), "the traceback follows"


def test_a_host_that_is_not_among_the_hosts_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = host_folder(tmp_path, run, ["algo-1"], "algo-2")
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(base))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "current_host algo-2 is not among hosts algo-1" in (base / "output/failure").read_text()


def test_no_process_outlives_its_launcher(run: Run, tmp_path: Path) -> None:
    # Given two jobs of one host each, under way
    bases = [host_folder(tmp_path / name, run, ["127.0.0.1"], "127.0.0.1", **ENDLESS) for name in "ab"]
    with running(bases[:1]) as [stopped], running(bases[1:]) as [killed]:
        wait_until(lambda: all(checkpoints(base) for base in bases))
        workers = [*children(stopped.pid), *children(killed.pid)]
        # When one is stopped and the other one's launcher is killed
        stopped.send_signal(signal.SIGTERM)
        killed.kill()
        # Then the first says so, and no worker is left of either
        assert finish([stopped, killed]) == [128 + signal.SIGTERM, -signal.SIGKILL]
    assert workers
    assert (bases[0] / "output/failure").read_text() == "stopped by signal SIGTERM"
    wait_until(lambda: not any(alive(pid) for pid in workers))


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may wait to be reaped by whoever adopted it."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
