"""The functions' code as it is uploaded: complete, small, for the right machine, and always the same."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.bundling import ROOT, BundlingError, Target, build, fingerprint
from infra.settings import load
from tests.functions.gateway import event, records
from tests.functions.test_kernel import binary, written
from tests.functions.tiny_bundle import PARCEL, Tiny, make_bundle

PREDICT = ROOT / "functions/predict"
CACHE = ROOT / ".millrace/bundles"
MEGABYTE = 1_000_000
TARGETS = {
    "laptop": Target.of(load("local")),
    "aws": Target.of(load("dev")),
}


@pytest.fixture(scope="module", params=list(TARGETS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, Path]:
    target, folder = TARGETS[request.param], tmp_path_factory.mktemp("code")
    build(PREDICT, target, folder, CACHE)
    return target, folder


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The predict function, built for the machine and the Python that run this test."""
    folder = tmp_path_factory.mktemp("here")
    build(PREDICT, TARGETS["laptop"], folder, CACHE)
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def state(folder: Path) -> list[tuple[str, int, int, str]]:
    """Everything that a zip of ``folder`` would hold: names, modes, times, contents."""
    return [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_mode,
            int(path.stat().st_mtime),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    ]


def test_the_bundle_keeps_to_lambdas_limits_with_room_to_spare(
    built: tuple[Target, Path], tmp_path: Path
) -> None:
    target, folder = built
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for path in files(folder):
            writer.write(path, path.relative_to(folder))

    unzipped = sum(path.stat().st_size for path in files(folder)) / MEGABYTE
    zipped = archive.stat().st_size / MEGABYTE
    assert unzipped <= 35, f"{target}: {unzipped:.1f} MB unzipped"
    assert zipped <= 13, f"{target}: {zipped:.1f} MB zipped"


@pytest.mark.parametrize("name", ["probe", "announce"])
def test_the_release_s_functions_carry_what_they_import(name: str, tmp_path: Path) -> None:
    build(ROOT / "functions" / name, TARGETS["laptop"], tmp_path, CACHE)
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {name}.app"
    subprocess.run([sys.executable, "-S", "-I", "-c", script], check=True)


def test_compiled_code_is_for_the_targets_python_and_processor(built: tuple[Target, Path]) -> None:
    target, folder = built
    tag = f"cpython-{target.python.replace('.', '')}"
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[target.architecture]
    elf_machine = {"arm64": 183, "x86_64": 62}[target.architecture]

    libraries = [path for path in files(folder) if ".so" in path.suffixes]
    assert [path.name for path in libraries if path.name.startswith("libonnxruntime")] != []
    modules = [path for path in libraries if not path.name.startswith("lib")]
    assert {module.relative_to(folder).parts[0] for module in modules} == {"msgspec", "pybase64", "predict"}
    foreign = [module.name for module in modules if f".{tag}-{machine}-linux-gnu.so" not in module.name]
    assert foreign == [f"kernel.linux-{machine}.so"]
    for library in libraries:
        assert int.from_bytes(library.read_bytes()[18:20], "little") == elf_machine, library.name


def test_wheels_are_tagged_for_lambdas_glibc_or_older(built: tuple[Target, Path]) -> None:
    target, folder = built
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[target.architecture]
    fits = {f"manylinux_2_{minor}_{machine}" for minor in range(17, 29)} | {f"manylinux2014_{machine}"}

    for wheel in folder.glob("*.dist-info/WHEEL"):
        tags = [line.removeprefix("Tag: ") for line in wheel.read_text().splitlines() if "Tag: " in line]
        platforms = {platform for tag in tags for platform in tag.split("-")[2].split(".")}
        assert platforms & fits, f"{wheel.parent.name}: {platforms}"


def test_the_bundle_carries_the_package_at_its_root_and_what_is_needed_to_run(
    built: tuple[Target, Path],
) -> None:
    _, folder = built
    assert (folder / "predict/app.py").read_bytes() == (PREDICT / "app.py").read_bytes()
    assert not (folder / "predict/requirements.txt").exists()
    assert [path for path in files(folder) if path.suffix == ".pyi"] == []
    assert list(folder.glob("*.dist-info/RECORD")) == []


def test_the_bundle_needs_nothing_but_itself(here: Path, tmp_path: Path) -> None:
    tiny = Tiny()
    make_bundle(tmp_path / "bundle", tiny)
    script = f"""
import sys, os, json
sys.path.insert(0, {str(here)!r})
sys.dont_write_bytecode = True
os.environ["LAMBDA_LAYER_ROOT"] = {str(tmp_path)!r}
import predict.app as app
responses = [app.handler(event, None) for event in json.loads(sys.argv[1])]
origins = {{name: str(getattr(module, "__file__", "")) for name, module in sys.modules.items()}}
foreign = sorted(name for name, origin in origins.items() if "-packages" in origin)
print(json.dumps([responses, foreign]))
"""
    asked = json.dumps([event(records(PARCEL)), binary(written([PARCEL]), "*/*")])
    command = [sys.executable, "-S", "-I", "-c", script, asked]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    responses, foreign = json.loads(done.stdout.splitlines()[-1])
    for response in responses:
        (prediction,) = json.loads(response["body"])["predictions"]
        assert prediction["probability"] == pytest.approx(tiny.probability(PARCEL), abs=1e-6)
    assert foreign == []
    assert "WARN" not in done.stdout


def zipped(folder: Path) -> bytes:
    """A zip of ``folder`` as CDK packs an asset, but not packed tightly, which takes long: files by name with
    their modes, every time 1980's first.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            entry.external_attr = path.stat().st_mode << 16
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_two_builds_are_the_same_wherever_and_whenever_they_are_made(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, again = TARGETS["laptop"], tmp_path / "again"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONHASHSEED", "42")
    with umask(0o077):
        clone = tmp_path / "another/functions/predict"
        shutil.copytree(PREDICT, clone, copy_function=shutil.copyfile)
        (clone / "__pycache__").mkdir(exist_ok=True)
        (clone / "__pycache__/app.cpython-311.pyc").write_bytes(b"stale")
        build(clone, target, again, tmp_path / "cache")

    assert state(again) == state(here)
    assert zipped(again) == zipped(here)
    assert fingerprint(clone, target) == fingerprint(PREDICT, target)


def test_the_fingerprint_follows_source_pins_and_target(tmp_path: Path) -> None:
    folder, target = tmp_path / "hello", Target(python="3.13", architecture="arm64")
    folder.mkdir()
    (folder / "app.py").write_text("x = 1\n")
    (folder / "requirements.txt").write_text("a==1\n")
    seen = {fingerprint(folder, target), fingerprint(folder, Target(python="3.14", architecture="arm64"))}

    (folder / "app.py").write_text("x = 2\n")
    seen.add(fingerprint(folder, target))
    (folder / "requirements.txt").write_text("a==2\n")
    seen.add(fingerprint(folder, target))
    (folder / "app.py").rename(folder / "main.py")
    seen.add(fingerprint(folder, target))

    assert len(seen) == 5


def test_a_function_without_requirements_carries_no_wheels(tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "app.py").write_text("x = 1\n")

    build(folder, TARGETS["aws"], tmp_path / "out", tmp_path / "cache")

    carried = [path.relative_to(tmp_path / "out") for path in files(tmp_path / "out")]
    assert [path.as_posix() for path in carried if path.suffix != ".pyc"] == ["bytecode.txt", "hello/app.py"]
    assert not (tmp_path / "cache").exists()


def test_wheels_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.bundling._install", lambda *_: pytest.fail("fetched again"))

    build(PREDICT, TARGETS["laptop"], tmp_path / "out", CACHE)


@pytest.mark.parametrize(
    ("pin", "message"),
    [("numpy", "numpy: not pinned"), ("numpy==0.0.1", "no wheels of numpy==0.0.1 for Python 3.13")],
)
def test_pins_that_cannot_be_used_are_named(tmp_path: Path, pin: str, message: str) -> None:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "requirements.txt").write_text(f"# why\n{pin}\n")

    with pytest.raises(BundlingError, match=message):
        build(folder, TARGETS["aws"], tmp_path / "out", tmp_path / "cache")
    assert list((tmp_path / "cache").glob("[!.]*")) == []
