"""Code of the functions as folders to upload: a function's package, and beside it the wheels it imports.

Wheels are fetched for the runtime's Python and architecture, whatever this machine is, without Docker;
once per set of pins, so that later builds need no network. The same source and the same compilers of bytecode
and of C (or none) give the same files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aws_cdk as cdk
import jsii
import uv
from aws_cdk import aws_lambda as lambda_

from infra import bytecode, kernel
from infra.bytecode import BytecodeError, Compiler
from infra.kernel import CompileError
from infra.settings import Settings

ROOT = Path(__file__).parents[1]
REQUIREMENTS = "requirements.txt"
NOTE = "bytecode.txt"
"""File of a bundle that says whether it carries bytecode."""
KERNEL_NOTE = "kernel.txt"
"""File of a bundle of a function with C code that says whether it was compiled."""
PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
"""Lambda's Amazon Linux 2023 has glibc 2.34; wheels for 2.28 run there."""

UNREAD = (
    # What an installer notes about itself.
    "bin",
    "*.dist-info/INSTALLER",
    "*.dist-info/RECORD",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    ".lock",
    # What compilers, type checkers and test runners read.
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.pyx",
    "**/*.h",
    "**/*.a",
    "**/tests",
    # The engine's tools.
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
"""Files of installed wheels that nothing reads when it predicts, as glob patterns."""
BINDING = (
    "onnxruntime/*.py",
    "onnxruntime/capi/*.py",
    "onnxruntime/capi/onnxruntime_pybind11_state*",
    "onnxruntime/capi/libonnxruntime_providers_shared.so",
)
"""The engine's Python binding: the function calls the engine's shared library without it."""
UNUSED = (*UNREAD, *BINDING)
"""Files of installed wheels that no function reads."""


class BundlingError(RuntimeError):
    """A function's code could not be gathered: what was wrong, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a function runs on: ``python`` such as "3.13", and the processor's architecture."""

    python: str
    architecture: Literal["arm64", "x86_64"]

    @classmethod
    def of(cls, settings: Settings) -> Target:
        """Return the target of an environment, whose settings have resolved ``host`` already."""
        architecture = settings.serving.architecture
        if architecture == "host":
            raise BundlingError("serving.architecture is `host`: read the settings with infra.settings.load")
        return cls(python=settings.serving.python, architecture=architecture)

    @property
    def platform(self) -> str:
        """The wheels' platform, as uv names it."""
        return PLATFORMS[self.architecture]

    @property
    def compiler(self) -> Compiler | None:
        """What compiles for this target here, if anything does."""
        return bytecode.find(self.python)


@jsii.implements(cdk.ILocalBundling)
class FunctionBundling:
    """CDK's way to build the code of the function in ``folder``."""

    def __init__(self, folder: Path, target: Target, cache: Path) -> None:
        self._folder, self._target, self._cache = folder, target, cache

    def try_bundle(self, output_dir: str, *, image: cdk.DockerImage, **_options: Any) -> bool:  # noqa: ARG002 - CDK names it
        """Write the code to ``output_dir``. True: CDK needs no Docker."""
        build(self._folder, self._target, Path(output_dir), self._cache)
        return True


def function_code(name: str, settings: Settings, root: Path = ROOT) -> lambda_.Code:
    """Code of ``functions/<name>`` for the environment's runtime, with the package ``<name>`` at its root."""
    folder, target = root / "functions" / name, Target.of(settings)
    local = FunctionBundling(folder, target, root / ".millrace" / "bundles")
    return lambda_.Code.from_asset(
        str(folder),
        asset_hash=fingerprint(folder, target),
        asset_hash_type=cdk.AssetHashType.CUSTOM,
        bundling=cdk.BundlingOptions(image=cdk.DockerImage.from_registry("unused"), local=local),
    )


def fingerprint(folder: Path, target: Target) -> str:
    """SHA-256 of all that shapes the bundle: sources, pins, target, compilers, what is left out."""
    digest = hashlib.sha256()
    for path in _sources(folder):
        digest.update(f"{path.relative_to(folder.parent).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(_wheels_key(_requirements(folder), target, UNUSED).encode())
    if _in_c(folder):
        digest.update("\n".join((kernel.note(kernel.find()), *kernel.OPTIONS)).encode())
    return digest.hexdigest()


def build(folder: Path, target: Target, output: Path, cache: Path, unused: tuple[str, ...] = UNUSED) -> None:
    """Write the function's package and its wheels to ``output``, every file with the same times and modes.

    ``unused`` are the files of the wheels to leave out, as glob patterns.
    """
    if requirements := _requirements(folder):
        shutil.copytree(_wheels(requirements, target, cache, unused), output, dirs_exist_ok=True)
    for path in _sources(folder):
        copy = output / path.relative_to(folder.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    _compile_c(folder, target, output)
    _compile(output, [output / folder.name], target)
    (output / NOTE).write_text(bytecode.note(target.python, target.compiler) + "\n", encoding="utf-8")
    _normalise(output)


def _compile(root: Path, folders: Iterable[Path], target: Target) -> None:
    if target.compiler:
        try:
            target.compiler.compile(root, folders)
        except BytecodeError as error:
            raise BundlingError(str(error)) from error


def _compile_c(folder: Path, target: Target, output: Path) -> None:
    """Write the libraries of the function's C code to ``output``, where its compiler is at hand."""
    for path in _in_c(folder):
        (output / KERNEL_NOTE).write_text(kernel.note(kernel.find()) + "\n", encoding="utf-8")
        if compiler := kernel.find():
            name = kernel.library_name(path, target.architecture)
            try:
                library = compiler.compile(path, target.architecture)
            except CompileError as error:
                raise BundlingError(str(error)) from error
            shutil.copyfile(library, output / path.relative_to(folder.parent).with_name(name))


def _in_c(folder: Path) -> list[Path]:
    return [path for path in _sources(folder) if path.suffix == ".c"]


def _sources(folder: Path) -> list[Path]:
    """Files of the function's own package."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".so")  # a compiled file here is this machine's
        and path.name != REQUIREMENTS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _requirements(folder: Path) -> str:
    """Pins of the function, without comments; empty where it needs nothing but its runtime."""
    file = folder / REQUIREMENTS
    lines = file.read_text().splitlines() if file.exists() else []
    pins = sorted(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    if loose := [pin for pin in pins if "==" not in pin]:
        raise BundlingError(f"{file}: {', '.join(loose)}: not pinned. Write NAME==VERSION.")
    return "\n".join(pins)


def _wheels_key(requirements: str, target: Target, unused: tuple[str, ...]) -> str:
    compiler = target.compiler.version if target.compiler else "none"
    about = "\n".join((requirements, target.python, target.platform, compiler, *unused))
    return hashlib.sha256(about.encode()).hexdigest()


def _wheels(requirements: str, target: Target, cache: Path, unused: tuple[str, ...]) -> Path:
    """Folder with the unpacked wheels, compiled, less what is unused; made once, complete or not at all."""
    folder = cache / _wheels_key(requirements, target, unused)[:16]
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fresh-") as name:
            fresh = Path(name) / "wheels"
            _install(requirements, target, fresh)
            _trim(fresh, unused)
            _compile(fresh, (path for path in fresh.iterdir() if path.is_dir()), target)
            try:
                fresh.rename(folder)
            except OSError:  # another process was quicker, and made the same
                if not folder.exists():
                    raise
    return folder


def _install(requirements: str, target: Target, folder: Path) -> None:
    """Unpack the wheels of ``requirements``, which name everything: no resolver adds to them."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--no-compile-bytecode"]
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--target", str(folder)]
    command += ["--python-platform", target.platform, "--python-version", target.python]
    pins = requirements.split("\n")
    done = subprocess.run([*command, *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BundlingError(
            f"no wheels of {', '.join(pins)} for Python {target.python} on {target.platform}: "
            f"{done.stderr.strip()} Check the network and the pins."
        )


def _trim(folder: Path, unused: tuple[str, ...]) -> None:
    for pattern in unused:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _normalise(folder: Path) -> None:
    """Give every file the times and modes that do not depend on who built it, and when."""
    for path in _tree(folder):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (315532800, 315532800))  # 1980, where the times of a zip begin


def _tree(folder: Path) -> Iterator[Path]:
    """Yield everything below ``folder``, then the folder itself."""
    yield from sorted(folder.rglob("*"), reverse=True)
    yield folder
