"""The functions' C code, compiled where it is bundled, for the processor that will run it.

    python -m infra.kernel

compiles it for this machine, beside its source, as `make setup` does. The compiler is Zig's C compiler, which
a Python package carries with all that it needs for other machines: nobody installs one, and the same source
and the same version give the same bytes everywhere. Where the package is not at hand, the bundle and the
synthesis say so, and everything works, only more slowly.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, cast

from infra.settings import ARCHITECTURES

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".millrace" / "kernels"
PACKAGE = "ziglang"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""A processor's architecture as the functions' runtime calls it → as the system names it to a function."""
ELSEWHERE = (
    "Nothing compiled for this machine, which is no Linux: here Python reads all requests, with the same "
    "answers, but more slowly. Bundles for Lambda carry the compiled reader all the same."
)
OPTIONS = (
    *("-std=c99", "-O2", "-shared", "-fPIC", "-ffreestanding", "-fno-builtin", "-nostdlib"),
    # A wrong calculation must not end the process, and what is measured is not watched.
    *("-fno-sanitize=all", "-fno-stack-protector"),
    # Nothing of the place and the time that it was built in.
    *("-s", "-Wl,--build-id=none", "-Werror", "-Wall", "-Wextra"),
)
Architecture = Literal["arm64", "x86_64"]


class CompileError(RuntimeError):
    """C code that does not compile: which file, and the compiler's words."""


@dataclass(frozen=True, kw_only=True)
class CCompiler:
    """Zig's C compiler; ``version`` is its package's."""

    version: str

    def compile(self, source: Path, architecture: Architecture, store: Path = CACHE) -> Path:
        """Return the shared library of ``source``, which needs no other; compiled once, kept in ``store``.

        Raises CompileError.
        """
        about = f"{self.version} {architecture} {' '.join(OPTIONS)}\n".encode() + source.read_bytes()
        library = store / f"{hashlib.sha256(about).hexdigest()[:16]}.so"
        if not library.exists():
            store.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=store, prefix=".fresh-") as name:
                self._run(source, architecture, Path(name), store).rename(library)
        return library

    def _run(self, source: Path, architecture: Architecture, folder: Path, store: Path) -> Path:
        """Compile a copy of ``source`` in ``folder``, under one name wherever it comes from."""
        (folder / source.name).write_bytes(source.read_bytes())
        command = [sys.executable, "-m", PACKAGE, "cc", "-target", f"{MACHINES[architecture]}-linux-gnu.2.28"]
        command += [*OPTIONS, "-o", f"{source.stem}.so", source.name]
        # What the compiler keeps for its next time stays in this repository.
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(store / "zig")}
        environment["ZIG_LOCAL_CACHE_DIR"] = environment["ZIG_GLOBAL_CACHE_DIR"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileError(f"{source} does not compile for {architecture}: {done.stderr.strip()}")
        return folder / f"{source.stem}.so"


@cache
def find() -> CCompiler | None:
    """Return the compiler, or None where its package is not installed."""
    try:
        return CCompiler(version=version(PACKAGE))
    except PackageNotFoundError:
        return None


def library_name(source: Path, architecture: Architecture) -> str:
    """Return what the library of ``source`` is called, so that no machine loads another's."""
    return f"{source.stem}.linux-{MACHINES[architecture]}.so"


def note(compiler: CCompiler | None) -> str:
    """Say in a line whether a bundle carries compiled C code, and what to do where it does not."""
    if compiler:
        return f"Compiled by {PACKAGE} {compiler.version}."
    return (
        f"No compiled reader of requests: {PACKAGE} was not at hand, so Python reads them, with the same "
        "answers, but more slowly. Install it where you deploy (make setup) and deploy again."
    )


def install(root: Path = ROOT) -> Iterator[Path]:
    """Compile the C code of all functions for this machine, beside its source; yield each library."""
    compiler = find()
    if compiler is None or sys.platform != "linux":
        return
    machine = cast("Architecture", ARCHITECTURES[os.uname().machine.lower()])
    for source in sorted((root / "functions").glob("*/*.c")):
        library = source.with_name(library_name(source, machine))
        content = compiler.compile(source, machine).read_bytes()
        if not library.exists() or library.read_bytes() != content:
            fresh = library.with_suffix(f".{os.getpid()}.so")
            fresh.write_bytes(content)
            fresh.rename(library)  # whoever has loaded the former one keeps it
        yield library


def main() -> None:
    """Compile for this machine and say what came of it."""
    for library in install():
        sys.stdout.write(f"{library}\n")
    sys.stdout.write(f"{note(find()) if sys.platform == 'linux' else ELSEWHERE}\n")


if __name__ == "__main__":
    main()
