"""Millrace's server against its peers, and against raw ASGI with orjson above all.

    python -m benchmarks.servers [FOLDER] [--only NAME …] [--rounds 3] [--seconds 2] [--publish]

FOLDER holds a bundle; without it, the newest that this machine's environment `local` has made is taken. Each
peer is installed into an environment of its own below .millrace/peers, which takes minutes the first time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import publish
from benchmarks.servers.install import install
from benchmarks.servers.measure import Found, Plan, measure
from benchmarks.servers.peer import PEERS, RAW, ROOT, Peer
from benchmarks.servers.progress import say
from benchmarks.servers.report import section
from benchmarks.servers.rows import known

LOCAL = ROOT / ".millrace" / "local" / "s3"
BUNDLES = "*/*/*/runs/*/bundle/manifest.json"


def main() -> None:
    """Measure, write the tables and, if asked to, the page's section."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server is ended, too
    peers = chosen(asked.only)
    if asked.install:
        raise SystemExit(install_all(peers))
    load_core, server_core = cores()
    os.sched_setaffinity(0, {load_core})
    bundle = asked.folder or newest(LOCAL)
    asking = known(bundle)
    say(f"{bundle}: {asking.model}; servers on core {server_core}, load on core {load_core}")
    plan = Plan(bundle=bundle, model=asking.model, rows=asking.rows, seconds=asked.seconds, core=server_core)
    found = measure(peers, plan, asked.rounds)
    tell(found, asked)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=", ".join(peer.key for peer in PEERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load")
    parser.add_argument("--install", action="store_true", help="install the peers and end")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md too")
    return parser.parse_args()


def chosen(only: Sequence[str] | None) -> list[Peer]:
    """Return the peers of these names, or all. Raises SystemExit for a name that none has."""
    known = {peer.key: peer for peer in PEERS}
    if unknown := set(only or ()) - known.keys():
        raise SystemExit(f"no peer is called {', '.join(sorted(unknown))}; there are {', '.join(known)}.")
    return [peer for peer in PEERS if only is None or peer.key in only]


def install_all(peers: Sequence[Peer]) -> int:
    """Install ``peers``; return 1 if one of them did not."""
    found = Found()
    for peer in peers:
        with found.guard(peer):
            install(peer)
            say(f"{peer.name} is installed")
    return 1 if found.errors else 0


def cores() -> tuple[int, int]:
    """Return a core for the load and another for the servers. Raises SystemExit where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load generator.")
    return usable[0], usable[1]


def newest(folder: Path) -> Path:
    """Return the bundle made last below ``folder``. Raises SystemExit where there is none."""
    made = sorted(folder.glob(BUNDLES), key=lambda file: file.stat().st_mtime)
    if not made:
        raise SystemExit(f"no bundle below {folder}: run `make demo`, or name one: make bench BUNDLE=folder")
    return made[-1].parent


def tell(found: Found, asked: argparse.Namespace) -> None:
    """Write what was found; publish it if asked to."""
    if RAW.key not in found.turns or RAW.key in found.errors:
        raise SystemExit("raw ASGI was not measured, so there is nothing to relate the others to.")
    made = section(found, asked.rounds, asked.seconds)
    for row in (made.header, *made.rows):
        sys.stdout.write("  ".join(cell.rjust(20) for cell in row) + "\n")
    sys.stdout.write(f"\n{made.details}\n")
    for chart in made.charts:
        for bar in chart.bars:
            limit = "" if bar.limit is None else f"  bar {bar.limit}"
            sys.stdout.write(f"{chart.title}: {bar.name}: {bar.value:.3f}{limit}\n")
    if asked.publish:
        publish(made)


if __name__ == "__main__":
    main()
