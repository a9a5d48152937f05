"""Flights' years after each other, and the contract that goes with them."""

import tomllib
from datetime import date
from pathlib import Path

import pytest

from benchmarks.stretch import ROOT, moved, stretched
from contract.load import load

FLIGHTS = [
    "year,month,flight,time_hour\n",
    "2013,1,7,2013-01-01T10:00:00Z\n",
    "2013,12,8,2014-01-01T04:00:00Z\n",
]
CONTRACT = ROOT / "workloads/flights/contract.toml"


def test_a_table_with_a_time_is_moved_by_whole_years() -> None:
    assert list(moved(iter(FLIGHTS), 2)) == [
        "year,month,flight,time_hour\n",
        "2015,1,7,2015-01-01T10:00:00Z\n",
        "2015,12,8,2016-01-01T04:00:00Z\n",
    ]


def test_the_first_copy_is_the_original() -> None:
    assert list(moved(iter(FLIGHTS), 0)) == FLIGHTS


def test_a_table_without_a_time_stays_as_it_is() -> None:
    planes = ["tailnum,year\n", "N10156,2004\n"]
    assert list(moved(iter(planes), 3)) == planes


def test_given_once_the_rows_then_the_contract_is_as_it_was() -> None:
    assert tomllib.loads(stretched(CONTRACT.read_text(), 1)) == tomllib.loads(CONTRACT.read_text())


def test_given_ten_times_the_rows_then_bounds_rules_and_splits_reach_as_far(tmp_path: Path) -> None:
    (tmp_path / "contract.toml").write_text(stretched(CONTRACT.read_text(), 10))
    (tmp_path / "features.sql").write_text((CONTRACT.parent / "features.sql").read_text())
    contract = load(tmp_path)
    assert contract.tables["flights"].columns["year"].max == 2022
    assert contract.tables["weather"].columns["year"].max == 2022
    assert contract.tables["planes"].columns["year"].max == 2014
    assert [(rule.min, rule.max) for rule in contract.quality if rule.sql == "count(*)"] == [(3e6, 4e6)]
    assert [(period.start, period.end) for period in contract.split.values()] == [
        (date(2013, 1, 1), date(2019, 9, 1)),
        (date(2019, 9, 1), date(2021, 5, 1)),
        (date(2021, 5, 1), date(2023, 1, 2)),
    ]


def test_a_contract_that_is_another_one_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"has nothing like .* any more: bring benchmarks/stretch.py in line"
    ):
        stretched("name = 'parcels'", 10)
