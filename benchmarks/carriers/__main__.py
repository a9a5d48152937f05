"""The server's own protocol against uvicorn and granian around the same prediction code, one worker each.

    python -m benchmarks.carriers FOLDER [--rounds 3] [--seconds 2] [--publish]

FOLDER holds a bundle. What was not chosen is installed into an environment of its own below .millrace/peers.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median

from benchmarks.carriers.batching import CALLERS, Batching, measure
from benchmarks.page import Section, publish
from benchmarks.rounds import spread
from benchmarks.servers.__main__ import cores
from benchmarks.servers.install import install
from benchmarks.servers.measure import Plan, Sample, turn
from benchmarks.servers.peer import MILLRACE_SERVER, Peer
from benchmarks.servers.progress import say
from benchmarks.servers.requests import JSON_CASES, Case, Dialect
from benchmarks.servers.rows import known
from functions.predict.bundle import Bundle, open_bundle

HERE = Path(__file__).parent
APPS = "benchmarks.carriers.apps"
GRANIAN = (
    *("{bin}/granian", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
    *("--runtime-threads", "1", "--loop", "uvloop", "--no-access-log", "--log-level", "warning"),
)
ASGI = Dialect(
    "/predict", MILLRACE_SERVER.json.write, MILLRACE_SERVER.json.read, MILLRACE_SERVER.json.headers
)


class Carrier(Peer):
    """A way to carry the prediction code. All but our own share one environment."""

    @property
    def requirements(self) -> Path:
        """The file of their pinned packages."""
        return HERE / "requirements.txt"

    @property
    def environment(self) -> Path:
        """The folder of their virtual environment."""
        return super().environment if self.ours else super().environment.with_name("carriers")

    @property
    def cases(self) -> tuple[Case, ...]:
        """What it is measured with."""
        return JSON_CASES


CARRIERS = (
    Carrier(
        key="uvicorn_asgi",
        name="uvicorn, ASGI",
        command=(
            *("{bin}/python", "-m", "uvicorn", f"{APPS}:asgi", "--host", "127.0.0.1", "--port", "{port}"),
            *("--workers", "1", "--loop", "uvloop", "--http", "httptools", "--ws", "none"),
            *("--lifespan", "off", "--no-access-log", "--log-level", "warning", "--no-proxy-headers"),
        ),
        json=ASGI,
    ),
    Carrier(
        key="granian_asgi",
        name="granian, ASGI",
        command=(*GRANIAN, "--interface", "asginl", f"{APPS}:asgi"),
        json=ASGI,
    ),
    Carrier(
        key="granian_rsgi",
        name="granian, RSGI",
        command=(*GRANIAN, "--interface", "rsgi", f"{APPS}:rsgi"),
        json=ASGI,
    ),
    Carrier(
        key="own",
        name="own protocol (`server/`)",
        command=MILLRACE_SERVER.command,
        json=MILLRACE_SERVER.json,
        ours=True,
    ),
)
Samples = dict[str, list[dict[Case, Sample]]]


def main() -> None:
    """Measure, write the table and, if asked to, the page's section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md too")
    asked = parser.parse_args()
    bundle = open_bundle(asked.folder)
    if bundle is None:
        raise SystemExit(f"{asked.folder} holds no manifest.json: name the folder of a bundle.")
    load_core, server_core = cores()
    os.sched_setaffinity(0, {load_core})
    asking = known(asked.folder)
    plan = Plan(
        bundle=asked.folder, model=asking.model, rows=asking.rows, seconds=asked.seconds, core=server_core
    )
    made = section(rounds(plan, asked.rounds), measure(bundle), bundle)
    for row in (made.header, *made.rows):
        sys.stdout.write("  ".join(cell.rjust(24) for cell in row) + "\n")
    sys.stdout.write(f"\n{made.details}\n")
    if asked.publish:
        publish(made)


def rounds(plan: Plan, count: int) -> Samples:
    """Measure all carriers ``count`` times, each time in another order."""
    found: Samples = {}
    install(CARRIERS[0])
    for number in range(count):
        for place in range(len(CARRIERS)):
            carrier = CARRIERS[(place + number) % len(CARRIERS)]
            say(f"round {number + 1} of {count}: {carrier.name}")
            found.setdefault(carrier.key, []).append(dict(turn(carrier, plan, number, None).samples))
    return found


def section(found: Samples, batching: Batching, bundle: Bundle) -> Section:
    """Return the section of the page."""
    first = CARRIERS[0]
    rows = []
    for carrier in CARRIERS:
        cells = []
        for case in JSON_CASES:
            pairs = zip(found[carrier.key], found[first.key], strict=True)
            ratio = spread([mine[case].processor / theirs[case].processor for mine, theirs in pairs])
            micros = median(sample[case].processor for sample in found[carrier.key]) * 1e6
            cells.append(f"{ratio.median:.2f} × ({ratio.low:.2f}–{ratio.high:.2f}), {micros:.0f} µs")
        rows.append((carrier.name, *cells))
    share = batching.share
    return Section(
        key="carriers",
        title="What carries the server",
        command="python -m benchmarks.carriers FOLDER --publish",
        prose=(
            "The same prediction code under uvicorn (uvloop, httptools), under granian, and under the "
            "server's own protocol on uvloop and llhttp's parser: processor time of the server for a "
            "request, as a share of uvicorn's; one worker each, the load on another core, "
            f"{len(found[first.key])} rounds. Only the last also finds the route, counts for Prometheus and "
            "names each request."
        ),
        header=("carrier", *map(str, JSON_CASES)),
        rows=tuple(rows),
        details=(
            f"Requests are not collected into batches. Decoding, running and writing the single records of "
            f"{CALLERS} callers together takes {share.median:.2f} × ({share.low:.2f}–{share.high:.2f}) the "
            f"time of one by one, {batching.saved:.1f} µs less for each, before anything is paid for "
            f"collecting; and the same record is then answered up to {batching.apart:.1g} differently "
            f"(`{bundle.manifest.graphs.batch}` for `{bundle.manifest.graphs.single}`), depending on who "
            "else asks at the moment, where every way to serve is to answer alike to the last bit."
        ),
    )


if __name__ == "__main__":
    main()
