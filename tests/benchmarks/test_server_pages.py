"""The sections on the server: their figures are those that were measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import edge
from benchmarks.carriers import batching
from benchmarks.carriers.__main__ import CARRIERS, section
from benchmarks.rounds import Spread
from benchmarks.servers.measure import Sample
from benchmarks.servers.requests import JSON_CASES
from functions.predict.bundle import Bundle, open_bundle
from tests.functions.tiny_bundle import make_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    opened = open_bundle(folder)
    assert opened is not None
    return opened


def test_given_callers_records_then_together_they_get_what_each_gets_alone(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "ROUNDS", 40)

    found = batching.measure(bundle)

    assert found.apart <= 1e-6
    assert 0 < found.share.low <= found.share.median <= found.share.high


def sample(processor: float) -> Sample:
    return Sample(rate=1.0, p50=1.0, p95=1.0, p99=1.0, processor=processor)


def test_given_carriers_then_each_is_told_as_a_share_of_the_first(bundle: Bundle) -> None:
    samples = {
        carrier.key: [dict.fromkeys(JSON_CASES, sample(1e-4 / (place + 1)))] * 3
        for place, carrier in enumerate(CARRIERS)
    }

    made = section(samples, batching.Batching(Spread(0.5, 0.4, 0.6), 10.0, 2e-7), bundle)

    assert [row[1] for row in made.rows] == [
        "1.00 × (1.00–1.00), 100 µs",
        "0.50 × (0.50–0.50), 50 µs",
        "0.33 × (0.33–0.33), 33 µs",
        "0.25 × (0.25–0.25), 25 µs",
    ]
    assert "0.50 × (0.40–0.60)" in made.details


def test_given_lives_at_the_edge_then_both_bars_are_told() -> None:
    made = edge.section([edge.Round(0.2, 60), edge.Round(0.4, 80), edge.Round(0.3, 70)])

    assert [row[1] for row in made.rows] == ["0.30 s", "70 MB"]
    assert [(bar.value, str(bar.limit)) for chart in made.charts for bar in chart.bars] == [
        (0.3, str(edge.START)),
        (70, str(edge.MEMORY)),
    ]


def test_given_a_bundle_then_every_form_is_asked_for_at_its_largest(folder: Path) -> None:
    requests = edge.every_form(folder)

    assert len(requests) == 6
    assert all(request.startswith(b"POST /v1/models/parcels/predict") for request in requests)
