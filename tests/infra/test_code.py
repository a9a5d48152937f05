"""The jobs' code: what travels, and that the same code is the same archive."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from infra import code
from tests.infra.conftest import ROOT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with a little code of each package, and some things that do not belong in an archive."""
    root = tmp_path / "checkout"
    for name in (
        "contract/load.py",
        "training/job.py",
        "workloads/toy/contract.toml",
        "workloads/toy/features.sql",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    (root / "training" / "__pycache__").mkdir()
    (root / "training" / "__pycache__" / "job.cpython-311.pyc").write_bytes(b"compiled")
    (root / "workloads" / "toy" / "raw.csv").write_text("a,b\n")
    (root / "infra").mkdir()
    (root / "infra" / "stage.py").write_text("")
    (root / "pyproject.toml").write_text("[dependency-groups]\nvendored = []\n")
    return root


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_given_a_checkout_then_code_contracts_and_queries_travel_and_nothing_else(repository: Path) -> None:
    assert names(code.preprocess_code(repository)) == {
        "contract/load.py",
        "training/job.py",
        "workloads/toy/contract.toml",
        "workloads/toy/features.sql",
    }


def test_given_the_same_code_elsewhere_and_later_then_it_is_the_same_archive(
    repository: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "place"
    shutil.copytree(repository, other)
    for path in other.rglob("*"):
        os.utime(path, (time.time() + 99, time.time() + 99))
    assert code.preprocess_code(repository).name == code.preprocess_code(other).name


def test_given_other_code_then_it_is_another_archive_and_the_first_stays(repository: Path) -> None:
    before = code.preprocess_code(repository)
    (repository / "training" / "job.py").write_text("# changed\n")
    assert code.preprocess_code(repository) != before
    assert (before / "training" / "job.py").read_text() == "# training/job.py\n"


def test_given_a_gathering_that_fails_then_nothing_half_done_is_left(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        code.preprocess_code(repository)
    assert list((repository / ".millrace" / "build" / "code").iterdir()) == []


def test_given_pins_that_nobody_has_then_the_error_names_them_and_where_they_stand(repository: Path) -> None:
    (repository / "pyproject.toml").write_text('[dependency-groups]\nvendored = ["onnxscript==0.0.0.1"]\n')
    with pytest.raises(code.CodeError, match=r"(?s)onnxscript==0\.0\.0\.1.*pyproject.toml"):
        code.training_code(repository)


def test_given_a_carried_wheel_for_one_python_only_then_it_is_refused(repository: Path) -> None:
    (repository / "pyproject.toml").write_text('[dependency-groups]\nvendored = ["msgspec==0.22.0"]\n')
    with pytest.raises(code.CodeError, match=r"_core.*\.so: compiled code"):
        code.training_code(repository)
    pins = '[dependency-groups]\nvendored-compiled = ["msgspec==0.22.0"]\n'
    (repository / "pyproject.toml").write_text(pins)
    with pytest.raises(code.CodeError, match=r"_core.*\.so: code for one version of Python"):
        code.training_code(repository)


def test_given_training_then_carried_wheels_fit_any_python_and_lie_in_vendor() -> None:
    folder = code.training_code(ROOT)
    carried = {name for name in names(folder) if name.startswith("vendor/")}
    assert {"vendor/onnxscript/__init__.py", "vendor/onnx_ir/__init__.py"} <= carried
    assert not [name for name in carried if name.endswith((".pyc", "/RECORD"))]
    # LightGBM's library is loaded by path, so no version of Python owns it.
    assert [name for name in carried if name.endswith(".so")] == ["vendor/lightgbm/lib/lib_lightgbm.so"]
    assert "vendor/narwhals/__init__.py" in carried
    assert "training/__init__.py" in names(folder)


def test_given_preprocessings_zip_then_a_contract_loads_from_within_it(tmp_path: Path) -> None:
    """Glue puts the archive on ``sys.path`` as it is."""
    folder = code.preprocess_code(ROOT)
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in sorted(names(folder)):
            file.write(folder / name, name)
    program = "from contract.load import workload; print(workload('flights').name)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(archive)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "flights", done.stderr


def test_given_a_checkout_without_git_then_the_commit_is_unknown(repository: Path) -> None:
    assert code.git_commit(repository) == "unknown"


def test_given_a_commit_and_a_change_then_both_are_told(repository: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
        command = ["git", *identity, *arguments]
        return subprocess.run(
            command, cwd=repository, capture_output=True, text=True, check=True
        ).stdout.strip()

    git("init", "-q")
    git("add", "contract")
    git("commit", "-qm", "First")
    commit = git("rev-parse", "HEAD")
    assert code.git_commit(repository) == commit
    (repository / "contract" / "load.py").write_text("# changed\n")
    assert code.git_commit(repository) == f"{commit}-dirty"
