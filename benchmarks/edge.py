"""The server as one process at the edge: seconds from its start to its first answer, and the memory it holds.

    python -m benchmarks.edge FOLDER [--rounds 11] [--publish]

FOLDER holds a bundle. Each round starts a process, asks until a prediction comes, then sends requests of
every form, the largest that the bundle takes among them, and reads what the process holds.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.charts import Chart, Limit
from benchmarks.page import Section, publish
from benchmarks.predict_overhead import encode, full_records
from benchmarks.rounds import spread
from benchmarks.servers.__main__ import cores
from benchmarks.servers.http import post
from benchmarks.servers.load import drive, once
from benchmarks.servers.peer import MILLRACE_SERVER
from benchmarks.servers.progress import say
from benchmarks.servers.requests import JSON_TYPE, Asked
from benchmarks.servers.rows import known
from benchmarks.servers.running import running
from functions.predict.bundle import open_bundle
from functions.predict.request import RECORDS

START, MEMORY = Limit("≤", 0.3), Limit("≤", 120)
"""Bars: seconds to the first answer, megabytes that the process holds."""
LOAD_SECONDS = 0.5
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Round:
    """One life of the process: ``start`` in seconds, ``resident`` memory in MB, with what others share."""

    start: float
    resident: float


def main() -> None:
    """Measure, write the table and, if asked to, the page's section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md too")
    asked = parser.parse_args()
    asking = known(asked.folder)
    first = MILLRACE_SERVER.json.asked(asking.model, asking.rows[1])
    load_core, server_core = cores()
    os.sched_setaffinity(0, {load_core})
    requests = every_form(asked.folder)
    found = [live(asked.folder, asking.model, first, requests, server_core) for _ in range(asked.rounds)]
    made = section(found)
    for row in (made.header, *made.rows):
        sys.stdout.write("  ".join(cell.rjust(24) for cell in row) + "\n")
    if asked.publish:
        publish(made)


def every_form(folder: Path) -> list[bytes]:
    """Return requests in every form: 64 records, and as many as the bundle takes."""
    bundle = open_bundle(folder)
    if bundle is None:
        raise SystemExit(f"{folder} holds no manifest.json: name the folder of a bundle.")
    made = []
    for count in (64, bundle.manifest.limits.records):
        records = full_records(bundle, count)
        columns = {name: [record[name] for record in records] for name in records[0]}
        path = f"/v1/models/{bundle.manifest.workload}/predict"
        made += [
            post(path, msgspec.json.encode({"records": records}), JSON_TYPE),
            post(path, msgspec.json.encode({"columns": columns}), JSON_TYPE),
            post(path, encode(bundle, records), {"Content-Type": RECORDS}),
        ]
    return made


def live(folder: Path, model: str, first: Asked, requests: Sequence[bytes], core: int) -> Round:
    """Start a process, have it answer, and read what it holds."""
    with running(MILLRACE_SERVER, folder, model, first, core) as server:
        drive(server.port, first.request, 8, LOAD_SECONDS)
        for request in requests:
            once(server.port, request)
        status = Path(f"/proc/{server.pid}/status").read_text()
        resident = int(_RESIDENT.findall(status)[0]) * 1024 / 1e6
        found = Round(server.started, resident)
    say(f"first answer after {found.start:.2f} s; {found.resident:.0f} MB")
    return found


def section(found: Sequence[Round]) -> Section:
    """Return the section of the page."""
    start = spread([each.start for each in found])
    resident = spread([each.resident for each in found])
    return Section(
        key="edge",
        title="One process at the edge",
        command="python -m benchmarks.edge FOLDER --publish",
        prose=(
            "`python -m server` with the bundle of the contest's winner: from the start of the process to "
            "its first prediction over HTTP, the interpreter's own start and every hash of the bundle "
            "included; and what it holds after requests in every form, up to as many records as the bundle "
            "takes in one. "
            f"Each of {len(found)} rounds is a process of its own; files are in the system's memory already."
        ),
        header=("what", "median", "interval", "bar"),
        rows=(
            (
                "start to first answer",
                f"{start.median:.2f} s",
                f"{start.low:.2f}–{start.high:.2f} s",
                "≤ 0.3 s",
            ),
            (
                "memory in RAM (RSS)",
                f"{resident.median:.0f} MB",
                f"{resident.low:.0f}–{resident.high:.0f} MB",
                "≤ 120 MB",
            ),
        ),
        charts=(
            Chart(
                title="Start to first answer", unit="s", bars=(start.bar("one process, one bundle", START),)
            ),
            Chart(title="Memory", unit="MB", bars=(resident.bar("one process, one bundle", MEMORY),)),
        ),
    )


if __name__ == "__main__":
    main()
