"""Bytecode for the functions' code, compiled where it is bundled, so that no start has to compile it.

Lambda's file system is read-only: what is not compiled before it is uploaded is compiled at every cold start.
Python reads only what its own version has compiled, so an interpreter of the runtime's version must be at
hand; where none is, the bundle and the synthesis say so, and everything works but for the slower start.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import uv

LAMBDA_ROOT = "/var/task"
"""Where Lambda unpacks a function: tracebacks show this folder, never the one it was built in."""


class BytecodeError(RuntimeError):
    """Code that the runtime's Python cannot compile: which file, and why."""


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """An interpreter; ``version`` in full, as "3.13.0", for its bytecode is that version's alone."""

    executable: str
    version: str

    def compile(self, root: Path, folders: Iterable[Path]) -> None:
        """Write ``__pycache__`` for the modules in ``folders`` of ``root``: always the same bytes.

        The files carry a hash of their source in place of its time, and are believed unchecked: nothing
        changes a source after it is uploaded. Raises BytecodeError.
        """
        command = [self.executable, "-I", "-S", "-m", "compileall", "-q", "-j", "1"]
        command += ["--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", LAMBDA_ROOT]
        command += [str(folder) for folder in sorted(folders)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise BytecodeError(f"Python {self.version} cannot compile the function's code: {said}")


@cache
def find(python: str) -> Compiler | None:
    """Return a CPython of version ``python`` ("3.13"), or None: this one, one on PATH, or one of uv's own."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Compiler(executable=sys.executable, version=platform.python_version())
    command = [uv.find_uv_bin(), "python", "find", "--no-project", "--system"]
    command += ["--offline", "--no-python-downloads", f"cpython@{python}"]
    # pyenv's commands on PATH stand for no version until they are told one.
    environment = {**os.environ, "PYENV_VERSION": python}
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return _identify(found.stdout.strip()) if found.returncode == 0 else None


def _identify(executable: str) -> Compiler:
    script = "import platform; print(platform.python_version())"
    command = [executable, "-I", "-S", "-c", script]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return Compiler(executable=executable, version=version)


def note(python: str, compiler: Compiler | None) -> str:
    """Say in a line whether a bundle for ``python`` carries bytecode, and what to do where it does not."""
    if compiler:
        return f"Compiled by CPython {compiler.version}."
    return (
        f"No bytecode: CPython {python} was not at hand, so every cold start compiles the code first. "
        f"Install it where you deploy (uv python install {python}) and deploy again."
    )
