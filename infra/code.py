"""Code of the jobs as files to upload: Millrace's own packages, and the wheels they carry along.

Also what the server's image is built from: ``python -m infra.code`` gathers that and prints where it lies.

Each archive is gathered in a folder named by its content, from which CDK makes a zip whose name is the
digest of that content: the same code is the same file, wherever the repository lies.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import uv

from infra import kernel

ROOT = Path(__file__).parents[1]
PACKAGES = ("contract", "training", "workloads")
SUFFIXES = frozenset({".py", ".toml", ".sql"})
IMAGE = ("--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.12")
"""What the carried compiled libraries run on: SageMaker's PyTorch image."""
GLUE_SCRIPT = Path("training/preprocess/glue.py")
SERVER = ("server", "functions/predict")
"""What the server's image is built of, beside ``functions/__init__.py``."""


class CodeError(RuntimeError):
    """The jobs' code could not be gathered: what was wrong, and what to do."""


def glue_script(root: Path = ROOT) -> Path:
    """The script that Glue starts."""
    return root / GLUE_SCRIPT


def preprocess_code(root: Path = ROOT) -> Path:
    """Folder with what preprocessing imports: ``contract``, ``training``, ``workloads``."""
    return _gather(root, _sources(root))


def training_code(root: Path = ROOT) -> Path:
    """Folder with what training and packaging import: the same, and ``vendor`` with the carried wheels."""
    vendor = _vendor(root)
    carried = {Path("vendor") / path.relative_to(vendor): path for path in _files(vendor)}
    return _gather(root, _sources(root) | carried)


def server_code(root: Path = ROOT) -> Path:
    """Folder that the server's image is built from, its ``server/Dockerfile`` included.

    C code is compiled for both processors that an image may be for, where its compiler is at hand.
    """
    files = [root / "functions" / "__init__.py"]
    files += [path for package in SERVER for path in _files(root / package) if path.suffix != ".so"]
    gathered = {path.relative_to(root): path for path in files}
    return _gather(root, gathered | dict(_libraries(root, files)))


def _libraries(root: Path, files: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield what the C code among ``files`` is compiled to, by its path inside the archive."""
    if compiler := kernel.find():
        for source in [path for path in files if path.suffix == ".c"]:
            for architecture in get_args(kernel.Architecture):
                inside = source.relative_to(root).with_name(kernel.library_name(source, architecture))
                yield inside, compiler.compile(source, architecture)


def git_commit(root: Path = ROOT) -> str:
    """The commit the code is from, ``-dirty`` if tracked files differ from it; ``unknown`` outside git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return "unknown"
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _sources(root: Path) -> dict[Path, Path]:
    """Path inside the archive → file, of Millrace's own code."""
    return {
        path.relative_to(root): path
        for package in PACKAGES
        for path in _files(root / package)
        if path.suffix in SUFFIXES
    }


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _gather(root: Path, files: Mapping[Path, Path]) -> Path:
    """Copy ``files`` into a folder named by their digest, unless it is there already."""
    digest = hashlib.sha256()
    for inside, path in sorted(files.items()):
        digest.update(f"{inside.as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    target = root / ".millrace" / "build" / "code" / digest.hexdigest()[:16]
    if not target.exists():
        with _Becoming(target) as fresh:
            for inside, path in files.items():
                (fresh / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, fresh / inside)
    return target


def _vendor(root: Path) -> Path:
    """Folder with the carried wheels, unpacked; fetched once per set of pins."""
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    pure, compiled = sorted(groups.get("vendored", [])), sorted(groups.get("vendored-compiled", []))
    digest = hashlib.sha256("\n".join([*pure, *IMAGE, *compiled]).encode()).hexdigest()
    target = root / ".millrace" / "build" / "vendor" / digest[:16]
    if not target.exists():
        with _Becoming(target) as fresh:
            _install(pure, fresh)
            _refuse(fresh, "*.so", "compiled code, which the image may not run")
            _install(compiled, fresh, *IMAGE)
            _refuse(fresh, "*.cpython-*.so", "code for one version of Python, which the image may not have")
    return target


def _install(pins: list[str], target: Path, *platform: str) -> None:
    """Unpack wheels: what runs, and the metadata that names versions."""
    if not pins:
        return
    command = [
        uv.find_uv_bin(),
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        *platform,
    ]
    done = subprocess.run(
        [*command, "--target", str(target), *pins], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CodeError(
            f"the wheels {', '.join(pins)} could not be fetched: {done.stderr.strip()} "
            "Check the network and the pins of the vendored groups in pyproject.toml."
        )
    shutil.rmtree(target / "bin", ignore_errors=True)
    for note in (*target.glob("*.dist-info/RECORD"), *target.glob("*.dist-info/REQUESTED"), target / ".lock"):
        note.unlink(missing_ok=True)


def _refuse(folder: Path, pattern: str, why: str) -> None:
    if found := sorted(path.name for path in folder.rglob(pattern)):
        raise CodeError(
            f"the carried wheels hold {', '.join(found)}: {why}. Carry pure-Python packages, or in the group "
            "vendored-compiled libraries that no version of Python owns; the rest must come with the image."
        )


class _Becoming:
    """A folder that appears under its name complete or not at all, though several processes may make it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __enter__(self) -> Path:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.fresh = Path(tempfile.mkdtemp(dir=self.target.parent, prefix=".fresh-"))
        return self.fresh

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self.target.exists():
            self.fresh.rename(self.target)
        shutil.rmtree(self.fresh, ignore_errors=True)


if __name__ == "__main__":
    sys.stdout.write(f"{server_code()}\n")
