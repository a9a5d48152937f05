"""What is asked and what must be answered, worked out in a process of its own.

    python -m benchmarks.servers.rows FOLDER

It writes JSON. Were it done in the load generator, that would hold pages of the engine's library, and what
processes share is counted only in part for each: servers would seem smaller than they are.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.servers.requests import MANY, Rows


@dataclass(frozen=True)
class Known:
    """The name of a bundle's model, and some of its records by their number."""

    model: str
    rows: dict[int, Rows]


def known(folder: Path) -> Known:
    """Return what the bundle in ``folder`` is to be asked. Raises SystemExit where there is none."""
    command = [sys.executable, "-m", __name__, str(folder.resolve())]
    done = subprocess.run(command, capture_output=True, check=False, cwd=Path(__file__).parents[2])
    if done.returncode:
        raise SystemExit(done.stderr.decode().strip().rpartition("\n")[2])
    return msgspec.json.decode(done.stdout, type=Known)


def work_out(folder: Path) -> Known:
    """Return the examples of the bundle in ``folder`` as one and as many rows. Raises SystemExit."""
    from benchmarks.predict_overhead import encode, full_records, rows_of, session  # noqa: PLC0415
    from functions.predict.bundle import open_bundle  # noqa: PLC0415 - see above

    bundle = open_bundle(folder)
    if bundle is None:
        raise SystemExit(f"{folder} holds no manifest.json: name the folder of a bundle.")
    rows = {}
    for count, graph in ((1, bundle.manifest.graphs.single), (MANY, bundle.manifest.graphs.batch)):
        records = full_records(bundle, count)
        encoded = rows_of(bundle, records)
        (probabilities,) = session(folder / graph).run(None, {"rows": encoded})
        binary = encode(bundle, records)
        rows[count] = Rows(records, encoded.astype("<f4").tobytes(), probabilities.tolist(), binary)
    return Known(bundle.manifest.workload, rows)


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(work_out(Path(sys.argv[1]))))
