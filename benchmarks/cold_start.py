"""What a cold start costs: the predict function against handlers of the same duty on Powertools.

    python -m benchmarks.cold_start FOLDER [--publish]

FOLDER holds a bundle as packaging writes it. All functions are bundled by the same code for this machine,
with their bytecode compiled, and started in turn by Lambda's runtime interface emulator, each time in a fresh
process.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.charts import Chart, Limit
from benchmarks.events import predict_event, read_manifest
from benchmarks.page import Section, publish
from benchmarks.quota import ahead
from benchmarks.rounds import Spread, spread
from benchmarks.runtime import Function, running
from infra.bundling import ROOT, UNREAD, Target, build
from infra.settings import load

BAR = 0.75
"""The most that the function's start may take of the bare rival's. A rival's start is 1."""
SHARED_LIBRARY = "onnxruntime/capi/libonnxruntime.so*"
"""The rivals call the engine by its Python binding, which brings its own copy of the library."""
NUMPY = tuple(
    f"numpy/{name}" for name in ("_pyinstaller", "conftest.py", "distutils", "f2py", "testing", "typing")
)
"""What nobody needs of the rivals' numpy."""
NAMES = {"predict": "Millrace", "bare": "rival, resolver only", "equipped": "rival, all of Powertools"}
log = logging.getLogger("benchmark")


@dataclass(frozen=True)
class Start:
    """One cold start: milliseconds until the runtime was ready, and of the first request after that."""

    ready: float
    first: float

    @property
    def answered(self) -> float:
        """Milliseconds until the first answer."""
        return self.ready + self.first


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md, too")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with functions(asked.folder) as arms:
        starts = measure(arms, predict_event(read_manifest(asked.folder), 1), asked.rounds)
    found = section(starts)
    for row in (found.header, *found.rows):
        log.info("  ".join(cell.rjust(24) for cell in row))
    if asked.publish:
        publish(found)


@contextmanager
def functions(bundle: Path) -> Iterator[dict[str, Function]]:
    """The predict function and both rivals as they would be uploaded, each beside the same ``bundle``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layer = layer_of(bundle, folder / "layer")
        ours = Function(predict_code(folder / "code"), "predict.app.handler", layer, VARIABLES)
        rival = rival_code(folder / "rival")
        yield {
            "predict": ours,
            "bare": Function(rival, "rival.bare.handler", layer),
            "equipped": Function(rival, "rival.equipped.handler", layer),
        }


VARIABLES = {"MILLRACE_ENVIRONMENT": "benchmark"}


def layer_of(bundle: Path, folder: Path) -> Path:
    """Lay ``bundle`` out as Lambda unpacks the model's layer."""
    shutil.copytree(bundle, folder / "bundle")
    return folder


def predict_code(output: Path) -> Path:
    """Bundle the predict function for this machine."""
    build(ROOT / "functions" / "predict", Target.of(load("local")), output, ROOT / ".millrace" / "bundles")
    return output


def rival_code(output: Path) -> Path:
    """Bundle the rivals for this machine: the engine with its Python binding, without its other library."""
    unused = (*UNREAD, *NUMPY, SHARED_LIBRARY)
    cache = ROOT / ".millrace" / "bundles"
    build(ROOT / "benchmarks" / "rival", Target.of(load("local")), output, cache, unused)
    return output


def measure(arms: dict[str, Function], event: dict[str, Any], rounds: int) -> dict[str, list[Start]]:
    """Start every function once in each round, in turn; a first round reads the files into memory."""
    starts: dict[str, list[Start]] = {name: [] for name in arms}
    for turn in range(rounds + 1):
        for name, function in arms.items():
            start = cold_start(function, event)
            if turn:
                starts[name].append(start)
    return starts


def cold_start(function: Function, event: dict[str, Any]) -> Start:
    """Start ``function`` by a request, before this machine's other work where that can be asked for."""
    with ahead() as command, running(function, around=command) as process:
        taken, _ = process.invoke(event)
        ready = process.start_ms
        return Start(ready, taken * 1000 - ready)


def ratios(over: Iterable[float], under: Iterable[float]) -> Spread:
    """The rounds' ratios: what was measured in one round met the machine in the same mood."""
    return spread([one / other for one, other in zip(over, under, strict=True)])


def section(starts: dict[str, list[Start]]) -> Section:
    """What the page says of it."""
    ready = {name: [start.ready for start in measured] for name, measured in starts.items()}
    shares = {name: ratios(values, ready["bare"]) for name, values in ready.items()}
    answered = ratios(
        [start.answered for start in starts["predict"]], [start.answered for start in starts["bare"]]
    )
    limits = {"predict": Limit("≤", BAR)}
    return Section(
        key="cold_start",
        title="Cold start",
        command="python -m benchmarks.cold_start FOLDER --publish",
        prose=PROSE,
        header=("function", "start ÷ bare rival's", "start ms", "first request ms"),
        rows=tuple(
            (
                NAMES[name],
                f"{shares[name].median:.2f} ({shares[name].low:.2f}–{shares[name].high:.2f})",
                f"{spread(ready[name]).median:.0f}",
                f"{spread([start.first for start in measured]).median:.1f}",
            )
            for name, measured in starts.items()
        ),
        charts=(
            Chart(
                title="Start as a share of the bare rival's",
                bars=(
                    *(shares[name].bar(NAMES[name], limits.get(name)) for name in starts),
                    answered.bar("Millrace, first request included", Limit("≤", BAR)),
                ),
            ),
        ),
    )


PROSE = """
From the runtime's process to its readiness, as Lambda's runtime interface emulator reports it (`INIT
REPORT`): the function started in turn with its rivals, each time in a fresh process. The shares are of what
was measured in one round. The rivals have the same duty: they open and check the same bundle, answer its
examples once to be warm, validate, predict, warn of unusual values and write a line of metrics. One does so
on the bare resolver of Powertools, with `json`, `numpy` and the engine's Python binding; the other with
Logger, Metrics and Tracer, too. All three are bundled by the same code, with bytecode compiled for this
Python, and run without this machine's site packages. The equipped rival travels without boto3, which Lambda
has, and which its Tracer would find and patch.

Not in the figures: placing the sandbox, fetching and unpacking code and layer, and reading files from a
disk (every file had been read before). Where the kernel lets it, a start goes before other work of the
machine. The Python is this machine's; the engine's binding is the rivals' alone.
"""


if __name__ == "__main__":
    main()
