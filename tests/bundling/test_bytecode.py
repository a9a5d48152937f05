"""Bytecode in the functions' code: there where the target's Python is, and said where it is not."""

from __future__ import annotations

import importlib.util
import marshal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import bytecode
from infra.bundling import BundlingError, Target, build, fingerprint
from infra.bytecode import Compiler

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
TARGET = Target(python=HERE, architecture="arm64")
UNCHECKED = (0b01).to_bytes(4, "little")
"""The flags of bytecode that carries a hash of its source, which is not looked at. Source: PEP 552."""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    folder = tmp_path / "functions/hello"
    (folder / "inner").mkdir(parents=True)
    (folder / "app.py").write_text("def fail():\n    raise ValueError({'a', 'b', 'c'})\n")
    (folder / "inner/__init__.py").write_text("")
    return folder


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("infra.bytecode.find", lambda python: None)
    yield


def built(folder: Path, output: Path) -> Path:
    build(folder, TARGET, output, output.parent / "cache")
    return output


def test_every_module_is_compiled_and_read_without_a_look_at_its_source(hello: Path, tmp_path: Path) -> None:
    out = built(hello, tmp_path / "out")

    for source in out.rglob("*.py"):
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        assert compiled[:8] == importlib.util.MAGIC_NUMBER + UNCHECKED
        assert compiled[8:16] == importlib.util.source_hash(source.read_bytes())
    assert len(list(out.rglob("*.pyc"))) == 2
    assert (out / "bytecode.txt").read_text().startswith(f"Compiled by CPython {HERE}.")


def test_compiled_code_names_the_folder_it_runs_in_not_the_one_it_was_built_in(
    hello: Path, tmp_path: Path
) -> None:
    (compiled,) = built(hello, tmp_path / "out").glob("hello/__pycache__/app.*.pyc")

    assert marshal.loads(compiled.read_bytes()[16:]).co_filename == "/var/task/hello/app.py"
    assert str(tmp_path).encode() not in compiled.read_bytes()


def test_the_compiled_file_is_what_runs(hello: Path, tmp_path: Path) -> None:
    out = built(hello, tmp_path / "out")
    (out / "hello/app.py").write_text("raise SystemExit('the source was read')")
    script = f"import sys; sys.path.insert(0, {str(out)!r}); import hello.app"

    subprocess.run([sys.executable, "-I", "-c", script], check=True)


@pytest.mark.usefixtures("no_interpreter")
def test_without_the_target_s_python_the_bundle_says_that_it_starts_slowly(
    hello: Path, tmp_path: Path
) -> None:
    out = built(hello, tmp_path / "out")

    assert list(out.rglob("*.pyc")) == []
    assert "No bytecode" in (out / "bytecode.txt").read_text()
    assert f"uv python install {HERE}" in (out / "bytecode.txt").read_text()


def test_the_fingerprint_tells_bundles_with_and_without_bytecode_apart(
    hello: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {fingerprint(hello, TARGET)}
    for found in (None, Compiler(executable="python", version="3.0.1")):
        monkeypatch.setattr("infra.bytecode.find", lambda python, found=found: found)
        seen.add(fingerprint(hello, TARGET))

    assert len(seen) == 3


def test_code_that_does_not_compile_is_named(hello: Path, tmp_path: Path) -> None:
    (hello / "app.py").write_text("def broken(:\n")

    with pytest.raises(BundlingError, match=r"hello/app\.py"):
        built(hello, tmp_path / "out")


def test_a_python_that_is_nowhere_is_not_found() -> None:
    assert bytecode.find("3.99") is None


def test_the_running_python_is_found() -> None:
    found = bytecode.find(HERE)

    assert found is not None
    assert found.version.startswith(f"{HERE}.")


@pytest.mark.skipif(bytecode.find("3.13") is None, reason="CPython 3.13 is not installed here")
def test_another_python_compiles_for_itself(hello: Path, tmp_path: Path) -> None:
    build(hello, Target(python="3.13", architecture="arm64"), tmp_path / "out", tmp_path / "cache")

    names = {path.name for path in (tmp_path / "out").rglob("*.pyc")}
    assert names == {"app.cpython-313.pyc", "__init__.cpython-313.pyc"}
