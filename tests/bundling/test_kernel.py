"""Compiled C code in the functions' code: for the right processor, always the same, said where it is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra import kernel
from infra.bundling import ROOT, BundlingError, Target, build, fingerprint
from infra.kernel import Architecture, CCompiler, CompileError

SOURCE = ROOT / "functions/predict/kernel.c"
TARGET = Target(python="3.13", architecture="arm64")


@pytest.fixture(scope="module")
def compiler() -> CCompiler:
    found = kernel.find()
    assert found is not None
    return found


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    folder = tmp_path / "functions/hello"
    folder.mkdir(parents=True)
    (folder / "sum.c").write_text("int sum(int a, int b);\nint sum(int a, int b) { return a + b; }\n")
    return folder


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", 183), ("x86_64", 62)])
def test_a_library_is_for_its_processor_and_needs_no_other(
    compiler: CCompiler, architecture: Architecture, machine: int
) -> None:
    content = compiler.compile(SOURCE, architecture).read_bytes()

    assert content[:4] == b"\x7fELF"
    assert int.from_bytes(content[18:20], "little") == machine
    assert [name for name in (b"libc", b"GLIBC", b"memcpy", b"memset", b"strlen") if name in content] == []


def test_the_same_source_gives_the_same_library_wherever_it_lies(
    compiler: CCompiler, hello: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "somewhere/else/sum.c"
    elsewhere.parent.mkdir(parents=True)
    shutil.copyfile(hello / "sum.c", elsewhere)

    one, other = (
        compiler.compile(source, "arm64", tmp_path / store)
        for store, source in (("one", hello / "sum.c"), ("other", elsewhere))
    )

    assert one != other
    assert one.read_bytes() == other.read_bytes()
    assert str(tmp_path).encode() not in one.read_bytes()


def test_a_bundle_carries_the_library_of_its_target_and_no_source_of_another(
    hello: Path, tmp_path: Path
) -> None:
    (hello / "sum.linux-x86_64.so").write_text("this machine's")

    build(hello, TARGET, tmp_path / "out", tmp_path / "cache")

    assert [path.name for path in (tmp_path / "out").rglob("*.so")] == ["sum.linux-aarch64.so"]
    assert (tmp_path / "out/kernel.txt").read_text().startswith("Compiled by ziglang ")


def test_without_the_compiler_the_bundle_says_that_it_is_slow_and_differs(
    hello: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(hello, TARGET)
    monkeypatch.setattr("infra.kernel.find", lambda: None)

    build(hello, TARGET, tmp_path / "out", tmp_path / "cache")

    assert list((tmp_path / "out").rglob("*.so")) == []
    assert "make setup" in (tmp_path / "out/kernel.txt").read_text()
    assert fingerprint(hello, TARGET) != before


def test_c_that_does_not_compile_is_named(compiler: CCompiler, hello: Path, tmp_path: Path) -> None:
    (hello / "sum.c").write_text("int sum(")

    with pytest.raises(CompileError, match=r"hello/sum\.c does not compile for arm64: .*error"):
        compiler.compile(hello / "sum.c", "arm64")
    with pytest.raises(BundlingError, match=r"hello/sum\.c"):
        build(hello, TARGET, tmp_path / "out", tmp_path / "cache")


def test_setting_up_compiles_for_this_machine_beside_the_source(hello: Path, tmp_path: Path) -> None:
    (library,) = kernel.install(tmp_path)
    before = library.stat().st_ino

    assert library.parent == hello
    assert [path.stat().st_ino for path in kernel.install(tmp_path)] == [before]


def test_given_a_machine_that_is_no_linux_then_nothing_is_said_to_be_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    kernel.main()
    assert capsys.readouterr().out == f"{kernel.ELSEWHERE}\n"
