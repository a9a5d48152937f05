"""What the page says of a run."""

from __future__ import annotations

import pytest

from benchmarks.charts import Bar
from benchmarks.servers.measure import Found, Sample, Turn
from benchmarks.servers.peer import MILLRACE_SERVER, PEERS, RAW, Peer
from benchmarks.servers.report import section
from benchmarks.servers.requests import BINARY_CASES, JSON_CASES

KSERVE = next(peer for peer in PEERS if peer.key == "kserve")
BROKEN = next(peer for peer in PEERS if peer.key == "bentoml")


def turn(peer: Peer, micro: float, number: int = 0, pair: int | None = None) -> Turn:
    """A turn whose requests each take ``micro`` µs of processor, 64 records in binary half of that."""
    samples = {
        case: Sample(
            rate=1000,
            p50=0.001,
            p95=0.002,
            p99=0.003,
            processor=micro * 1e-6 * (0.5 if case.form == "binary" else 1),
        )
        for case in peer.cases
    }
    return Turn(round=number, pair=pair, started=0.5, memory=80_000_000, samples=samples)


@pytest.fixture
def found() -> Found:
    """Two rounds of one pair each, the second on a machine that is twice as slow."""
    return Found(
        turns={
            "millrace": [turn(MILLRACE_SERVER, 80, 0, 0), turn(MILLRACE_SERVER, 150, 1, 0)],
            "raw_asgi": [turn(RAW, 100, 0, 0), turn(RAW, 200, 1, 0)],
            "kserve": [turn(KSERVE, 400, 0), turn(KSERVE, 1000, 1)],
            "bentoml": [turn(BROKEN, 300, 0)],
        },
        errors={"bentoml": "it fell over `in` round 2"},
    )


def bars(found: Found) -> dict[str, Bar]:
    return {bar.name: bar for chart in section(found, 2, 1.5).charts[:3] for bar in chart.bars}


def test_peers_stand_in_the_order_of_what_a_request_costs_as_ratios_of_their_round(found: Found) -> None:
    rows = section(found, 2, 1.5).rows
    assert [row[0] for row in rows] == ["Millrace", RAW.title, KSERVE.title]
    assert rows[0][1:] == (*["0.78 × (0.75–0.80)"] * 2, *["1.29 × (1.25–1.33)"] * 2, "80", "0.50")
    assert rows[1][1] == "1.00 ×"
    assert rows[2][1] == "4.50 × (4.00–5.00)"


def test_the_bars_are_on_the_median_and_on_the_far_end_of_one_record(found: Found) -> None:
    all_bars = bars(found)
    name = str(JSON_CASES[0])
    assert all_bars[name].value == pytest.approx(0.775)
    assert str(all_bars[name].limit) == "≤ 1"
    upper = all_bars[f"{name}: its upper end"]
    assert upper.value == pytest.approx(0.8)
    assert str(upper.limit) == "≤ 1.05"


def test_binary_is_held_against_the_jsons_of_raw_asgi(found: Found) -> None:
    all_bars = bars(found)
    ours, theirs = (all_bars[prefix + str(BINARY_CASES[1])] for prefix in ("", "raw ASGI: "))
    assert ours.value == pytest.approx((2.5 + 2 * 200 / 150) / 2)
    assert str(ours.limit) == "≥ 2.2"
    assert theirs.value == 2
    assert theirs.limit is None


def test_the_heavy_peers_are_to_cost_three_times_as_much(found: Found) -> None:
    bar = bars(found)[f"KServe, {JSON_CASES[0]}"]
    assert [bar.low, bar.high] == pytest.approx([0.15, 0.2])
    assert str(bar.limit) == "≤ 0.333"


def test_a_peer_that_failed_is_listed_with_what_it_said_and_not_among_the_figures(found: Found) -> None:
    made = section(found, 2, 1.5)
    assert f"- {BROKEN.title}: `it fell over 'in' round 2`" in made.prose
    assert "BentoML" not in made.details


def test_the_figures_of_every_load_stand_below(found: Found) -> None:
    details = section(found, 2, 1.5).details
    assert "| KServe | 64 records, JSON, 8 connections | 1,000 | 1.00 | 2.00 | 3.00 | 700 |" in details
    assert details.count("binary") == 4


def test_without_ours_the_page_has_no_bars_to_keep(found: Found) -> None:
    del found.turns["millrace"]
    (chart,) = section(found, 2, 1.5).charts
    assert all(bar.limit is None for bar in chart.bars)


def test_the_prose_tells_how_it_was_measured(found: Found) -> None:
    prose = section(found, 2, 1.5).prose
    assert "In each of 2 rounds" in " ".join(prose.split())
    assert "1.5 seconds" in " ".join(prose.split())
