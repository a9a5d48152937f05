"""Rounds: every peer started afresh in each, in an order that changes; what came of each kind of load.

Millrace and raw ASGI, between which most bars lie, are measured one after the other several times in a
round, so that each of their ratios is of two that met the machine in the same mood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.servers.install import install
from benchmarks.servers.load import LoadError, drive, once, percentile
from benchmarks.servers.peer import MILLRACE_SERVER, RAW, Peer, PeerError
from benchmarks.servers.processes import memory, processor_seconds
from benchmarks.servers.progress import say
from benchmarks.servers.requests import Asked, Case, Rows, WrongAnswerError
from benchmarks.servers.running import Running, prepare, running

SEED = 20261124
PAIRS = 3
"""How often the two of a pair are measured in a round."""
WARM, WARM_FIRST = 0.25, 1.5
"""Multiples of a measurement's seconds: before each, and after a start for what compiles as it runs."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is served, how long each load is driven, and which core the servers have to themselves."""

    bundle: Path
    model: str
    rows: Mapping[int, Rows]
    seconds: float
    core: int

    def asked(self, peer: Peer, case: Case) -> Asked:
        """Return the request that ``peer`` gets in ``case``."""
        return peer.dialect(case).asked(self.model, self.rows[case.records])


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one load came to: requests per second, latencies in seconds.

    ``processor`` is the seconds that all processes of the server worked for a request.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    processor: float


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One start of a peer: seconds to its first answer, bytes after all loads, and what each load came to."""

    round: int
    pair: int | None
    started: float
    memory: int
    samples: Mapping[Case, Sample]


@dataclass
class Found:
    """All that was measured, by the peers' keys; and why others were not."""

    turns: dict[str, list[Turn]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def guard(self, peer: Peer) -> Iterator[None]:
        """Note what goes wrong with ``peer`` instead of ending the run."""
        try:
            yield
        except (PeerError, LoadError, WrongAnswerError, OSError) as error:
            self.errors[peer.key] = str(error)
            say(f"{peer.name} fails: {error}")


Visit = tuple[Peer, int | None]
"""A peer, and which of the round's pairs it is in."""


def measure(peers: Sequence[Peer], plan: Plan, rounds: int) -> Found:
    """Install ``peers``, then measure them ``rounds`` times; one that fails is left out from then on."""
    found = Found()
    for peer in peers:
        with found.guard(peer):
            install(peer)
            prepare(peer, plan.bundle, plan.model)
    for number in range(rounds):
        for peer, pair in order(peers, number):
            if peer.key not in found.errors:
                say(f"round {number + 1} of {rounds}: {peer.name} starts")
                with found.guard(peer):
                    made = turn(peer, plan, number, pair)
                    found.turns.setdefault(peer.key, []).append(made)
    return found


def order(peers: Sequence[Peer], number: int) -> list[Visit]:
    """Return whom round ``number`` visits, in the same order whenever it is asked for."""
    dice = Random(SEED + number)  # noqa: S311 - it shuffles
    two = [peer for peer in peers if peer in (MILLRACE_SERVER, RAW)]
    blocks: list[list[Visit]] = [[(peer, None)] for peer in peers if peer not in two]
    for pair in range(PAIRS):
        dice.shuffle(two)
        blocks.append([(peer, pair) for peer in two])
    dice.shuffle(blocks)
    return [visit for block in blocks for visit in block]


def turn(peer: Peer, plan: Plan, number: int, pair: int | None) -> Turn:
    """Start ``peer``, put every load on it, end it.

    Raises PeerError, LoadError, WrongAnswerError, OSError.
    """
    first = plan.asked(peer, peer.cases[0])
    with running(peer, plan.bundle, plan.model, first, plan.core) as server:
        say(f"{peer.name} answers after {server.started:.2f} s")
        drive(server.port, first.request, 1, WARM_FIRST * plan.seconds)
        samples = {case: sample(peer, plan, case, server) for case in peer.cases}
        held = memory(server.pid)
    return Turn(round=number, pair=pair, started=server.started, memory=held, samples=samples)


def sample(peer: Peer, plan: Plan, case: Case, server: Running) -> Sample:
    """Put one load on a running peer, after its answer was found right."""
    asked = plan.asked(peer, case)
    asked.check(once(server.port, asked.request))
    drive(server.port, asked.request, case.connections, WARM * plan.seconds)
    before = processor_seconds(server.pid)
    load = drive(server.port, asked.request, case.connections, plan.seconds)
    worked = processor_seconds(server.pid) - before
    found = Sample(
        rate=load.rate,
        p50=percentile(load.latencies, 0.50),
        p95=percentile(load.latencies, 0.95),
        p99=percentile(load.latencies, 0.99),
        processor=worked / len(load.latencies),
    )
    say(f"{peer.name}: {case}: {found.rate:.0f} requests/s, {found.processor * 1e6:.0f} µs of processor each")
    return found
