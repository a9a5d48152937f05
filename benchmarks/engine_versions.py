"""Whether the function's use of ONNX Runtime's C interface holds in other versions of the library.

    python -m benchmarks.engine_versions FOLDER [VERSION …] [--publish]

Fetches each version's wheel (the network is needed), runs the bundle in FOLDER through it in a process of its
own, and compares the probabilities with those of the version that this environment has.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import uv

from benchmarks.page import Section, publish
from functions.predict.engine import INTERFACE

VERSIONS = ("1.20.1", "1.22.1", "1.23.2", "1.24.4", "1.26.0", "1.32.0")
RUN = """
import json, sys
from pathlib import Path
from functions.predict.bundle import open_bundle
from functions.predict.engine import find_library
bundle = open_bundle(Path(sys.argv[1]))
model, rows = bundle.model, bundle.model.rows.cast("f")
values = [((7 * place) % 13) / 3 for place in range(64 * model.columns)]
for place, value in enumerate(values):
    rows[place] = value
print(json.dumps({"library": Path(find_library(sys.path)).name, "one": model.run(1), "many": model.run(64)}))
"""


def main() -> None:
    """Try every version, write what came of it and, if asked to, the page's section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md too")
    asked = parser.parse_args()
    reference = answers(asked.folder, "")
    found: list[tuple[str, str, str]] = []
    for version in asked.versions:
        with tempfile.TemporaryDirectory() as place:
            library, outcome = trial(version, Path(place), asked.folder, reference)
        found.append((version, library, outcome))
        sys.stdout.write(f"{version:8} {library:26} {outcome}\n")
        sys.stdout.flush()
    if asked.publish:
        publish(section(found))


def trial(version: str, place: Path, folder: Path, reference: dict[str, Any]) -> tuple[str, str]:
    """Install ``version`` into ``place`` and run the bundle with it; return its library and the outcome."""
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(place)]
    fetched = subprocess.run(
        [*command, f"onnxruntime=={version}"], capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        return "", f"no wheel: {fetched.stderr.strip().splitlines()[-1]}"
    try:
        found = answers(folder, str(place))
    except RuntimeError as error:
        return "", str(error)
    if version not in found["library"]:
        return "", "its wheel carries no shared library"
    pairs = zip(found["one"] + found["many"], reference["one"] + reference["many"], strict=True)
    return str(found["library"]), f"largest difference {max(abs(a - b) for a, b in pairs):.1e}"


def answers(folder: Path, place: str) -> dict[str, Any]:
    """Return what the bundle answers through the library at ``place``. Raises RuntimeError with its words."""
    environment = {"PYTHONPATH": place} if place else {}
    command = [sys.executable, "-c", RUN, str(folder.resolve())]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


def section(found: list[tuple[str, str, str]]) -> Section:
    """Return the section of the page."""
    return Section(
        key="engine_versions",
        title="One interface, many versions of the engine",
        command="python -m benchmarks.engine_versions FOLDER --publish",
        prose=(
            f"The function asks ONNX Runtime for version {INTERFACE} of its C interface, which later "
            "libraries keep offering. Each version's library ran the same bundle; what its 65 probabilities "
            "differ by from those of the pinned version is in the last column."
        ),
        header=("onnxruntime", "library", "outcome"),
        rows=tuple(found),
    )


if __name__ == "__main__":
    main()
