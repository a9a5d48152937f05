"""What the page says of a run: ratios to raw ASGI first, then the figures behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.charts import Bar, Chart, Limit
from benchmarks.page import Section, table
from benchmarks.rounds import Spread, spread
from benchmarks.servers.measure import PAIRS, Found, Turn
from benchmarks.servers.peer import MILLRACE_SERVER, PEERS, RAW, Peer
from benchmarks.servers.requests import BINARY_CASES, JSON_CASES, MANY, Case

ONE = tuple(case for case in JSON_CASES if case.records == 1)
SOME = tuple(case for case in JSON_CASES if case.records == MANY)
AS_CHEAP, SURELY, FASTER, BINARY_FASTER, THIRD = 1.0, 1.05, 1.3, 2.2, 1 / 3
HEAVY = ("mlserver", "kserve")
"""The peers that Millrace must undercut threefold."""
HEADER = (
    "server",
    *("CPU, 1 record", "CPU, 1 record, 8 at once", "64 records", "64 records, 8 at once"),
    *("memory MB", "start s"),
)
Value = Callable[[Turn], float]


def section(found: Found, rounds: int, seconds: float) -> Section:
    """Return the section of the page. Raises KeyError where raw ASGI was not measured."""
    shown = measured(found)
    return Section(
        key="servers",
        title="Against other servers",
        command="make bench BUNDLE=FOLDER",
        prose=PROSE.format(
            rounds=rounds, seconds=seconds, pairs=PAIRS * rounds, failures=failures(found)
        ).strip(),
        header=HEADER,
        rows=tuple(ratio_row(found, peer) for peer in shown),
        charts=tuple(charts(found, shown)),
        details=details(found, shown),
    )


def measured(found: Found) -> list[Peer]:
    """Return the peers that were measured in every round, the cheapest for one record first."""
    there = [peer for peer in PEERS if peer.key in found.turns and peer.key not in found.errors]
    return sorted(there, key=lambda peer: median(map(cost(ONE[0]), found.turns[peer.key])))


def cost(case: Case) -> Value:
    """Return what tells the processor seconds of a request from a turn."""
    return lambda turn: turn.samples[case].processor


def relative(found: Found, peer: Peer, value: Value, to: Value, other: Peer = RAW) -> Spread:
    """Return ``value`` of each of ``peer``'s turns over ``to`` of ``other``'s turn of the same pair.

    Where the two are no pair, it is over the median of the other's turns in the same round.
    """
    ratios = []
    for turn in found.turns[peer.key]:
        same = [one for one in found.turns[other.key] if one.round == turn.round]
        paired = [one for one in same if turn.pair is not None and one.pair == turn.pair]
        ratios.append(value(turn) / median(map(to, paired or same)))
    return spread(ratios)


def cheaper(found: Found, peer: Peer, case: Case) -> Spread:
    """Return the processor time of a request in ``case`` as a multiple of raw ASGI's in the same case."""
    return relative(found, peer, cost(case), cost(case))


def faster(found: Found, peer: Peer, case: Case, to: Case) -> Spread:
    """Return records per processor second in ``case`` as a multiple of raw ASGI's in ``to``."""

    def speed(one: Case) -> Value:
        return lambda turn: one.records / turn.samples[one].processor

    return relative(found, peer, speed(case), speed(to))


def ratio_row(found: Found, peer: Peer) -> tuple[str, ...]:
    """Return a peer's line of the first table."""
    turns = found.turns[peer.key]
    return (
        peer.title,
        *(times(cheaper(found, peer, case)) for case in ONE),
        *(times(faster(found, peer, case, case)) for case in SOME),
        f"{median(turn.memory for turn in turns) / 1e6:.0f}",
        f"{median(turn.started for turn in turns):.2f}",
    )


def times(ratio: Spread) -> str:
    """Write a ratio with its interval."""
    if ratio.low == ratio.high:
        return f"{ratio.median:.2f} ×"
    return f"{ratio.median:.2f} × ({ratio.low:.2f}–{ratio.high:.2f})"


def charts(found: Found, shown: Sequence[Peer]) -> list[Chart]:
    """Return the charts; those of Millrace's bars only where it was measured."""
    everyone = tuple(cheaper(found, peer, ONE[0]).bar(peer.title) for peer in shown)
    others = Chart(title="Server CPU of a request of 1 record, raw ASGI = 1", unit="×", bars=everyone)
    return [*(our_charts(found, shown) if MILLRACE_SERVER in shown else ()), others]


def our_charts(found: Found, shown: Sequence[Peer]) -> list[Chart]:
    """Return the charts of the bars that Millrace must keep."""
    costs = tuple(single(found)), "Millrace's server CPU of a request against raw ASGI's"
    speeds = tuple(many(found)), "Records per server-CPU-second against raw ASGI's JSON"
    heavy = tuple(bar for peer in shown if peer.key in HEAVY for bar in against(found, peer))
    thirds = heavy, "Millrace's server CPU of a request of 1 record against"
    return [Chart(title=title, unit="×", bars=bars) for bars, title in (costs, speeds, thirds) if bars]


def single(found: Found) -> list[Bar]:
    """Return the bars of one record: the median's, and the far end's of its interval."""
    bars = []
    for case in ONE:
        ratio = cheaper(found, MILLRACE_SERVER, case)
        bars.append(ratio.bar(str(case), Limit("≤", AS_CHEAP)))
        bars.append(Bar(name=f"{case}: its upper end", value=ratio.high, limit=Limit("≤", SURELY)))
    return bars


def many(found: Found) -> list[Bar]:
    """Return the bars of many records: JSON against JSON, and binary against raw ASGI's JSON."""
    ours = MILLRACE_SERVER
    return [
        *(faster(found, ours, case, case).bar(str(case), Limit("≥", FASTER)) for case in SOME),
        *(
            faster(found, ours, case, to).bar(str(case), Limit("≥", BINARY_FASTER))
            for case, to in zip(BINARY_CASES, SOME, strict=True)
        ),
        *(
            faster(found, RAW, case, to).bar(f"raw ASGI: {case}")
            for case, to in zip(BINARY_CASES, SOME, strict=True)
        ),
    ]


def against(found: Found, peer: Peer) -> list[Bar]:
    """Return the bars against one of the heavy peers."""
    return [
        relative(found, MILLRACE_SERVER, cost(case), cost(case), peer).bar(
            f"{peer.name}, {case}", Limit("≤", round(THIRD, 3))
        )
        for case in ONE
    ]


def details(found: Found, shown: Sequence[Peer]) -> str:
    """Return the table of the figures behind the ratios."""
    header = ("server", "load", "requests/s", "p50 ms", "p95 ms", "p99 ms", "server CPU µs a request")
    rows = [figures(found.turns[peer.key], peer, case) for peer in shown for case in peer.cases]
    return table(header, rows)


def figures(turns: Sequence[Turn], peer: Peer, case: Case) -> tuple[str, ...]:
    """Return a load's line of the second table: medians of all turns."""
    samples = [turn.samples[case] for turn in turns]

    def middle(name: str, unit: float) -> float:
        return float(median(getattr(sample, name) for sample in samples)) / unit

    return (
        *(peer.name, str(case), f"{middle('rate', 1):,.0f}"),
        *(f"{middle(name, 1e-3):.2f}" for name in ("p50", "p95", "p99")),
        f"{middle('processor', 1e-6):,.0f}",
    )


def failures(found: Found) -> str:
    """Say which peers were not measured, with the last that each said."""
    names = {peer.key: peer.title for peer in PEERS}
    lines = [f"- {names[key]}: `{error.replace('`', chr(39))[:300]}`" for key, error in found.errors.items()]
    return "\n".join(["Not measured:\n", *lines]) if lines else ""


PROSE = """
One model, one worker, one thread for the engine; a core for the server with all its processes and threads,
the other for the load: keep-alive connections, one or eight at once, on each the next request as soon as
the last is answered. Every answer must be 200, and before each load its probabilities are compared with
those of `session.run`. In each of {rounds} rounds every server is started afresh, in an order that changes,
and driven {seconds:g} seconds with each load; Millrace and raw ASGI, which most bars lie between, {pairs}
times altogether, next to each other, and their ratio is taken of each such pair. The others' is to the
median of raw ASGI in the same round.

The first two columns say what a request costs of the server's CPU time, as a multiple of raw ASGI's; the
next two how many records it answers for a second of its CPU time, as a multiple of raw ASGI's. CPU time is
that of all the server's processes, as the kernel counts it, work that nobody asked for included. Memory is
theirs after the loads, what they share counted once (PSS); the start ends with the first right answer.

All peers run the same few lines around ONNX Runtime's binding
([bundled.py](../benchmarks/servers/peers/bundled.py)) and answer with bare probabilities. Of them only
FastAPI checks the type of each value; Millrace refuses what breaks the contract, warns of unusual
values, names every record and counts for `/metrics`. Raw ASGI is uvicorn on uvloop and httptools, with
orjson and nothing else. KServe and MLServer get one FP32 tensor of rows that the caller has encoded
(protocol v2), which spares them that work; all others get named features in JSON. "Binary" is [Millrace's
own form](api.md) against raw ASGI's **JSON**; what raw ASGI makes of rows that the caller has encoded as
float32, for which it must know the model's columns and vocabularies, stands below it. Access logs are off.

{failures}
"""
