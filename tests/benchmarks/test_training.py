"""What the benchmarks of training and preprocessing make of their measurements."""

import json
import os
from pathlib import Path

import pytest

from benchmarks import others, preprocessing, training
from benchmarks.preprocessing import Measured
from benchmarks.training import Result, Round


def rounds(two: float, waiting: float = 0.02) -> list[Round]:
    """Three rounds in which a process alone and the plain loop take 100 rows a second."""
    results = {
        "plain loop": Result(100),
        "one process": Result(100, waiting),
        "two processes": Result(two, waiting),
        "two plain loops": Result(190),
    }
    return [Round(results, 0.01)] * 3


def measured(times: int, seconds: float, memory: int = 2**30) -> Measured:
    return Measured(times, 1000 * times, seconds, {"clean": seconds}, {7: memory}, {7: 2 * seconds}, 0.25)


@pytest.mark.parametrize(("two", "efficiency", "kept"), [(180, 0.9, True), (120, 0.6, False)])
def test_efficiency_is_the_rate_of_two_over_twice_that_of_one(
    two: float, efficiency: float, kept: bool
) -> None:
    *bars, ceiling = training.section(rounds(two), 512).charts[0].bars
    assert [bar.name for bar in bars] == ["against twice the one process", "against twice the plain loop"]
    assert [bar.value for bar in bars] == pytest.approx([efficiency] * 2)
    assert all(bar.limit and bar.limit.kept(bar.value) is kept for bar in bars)
    assert ceiling.value == pytest.approx(0.95)
    assert ceiling.limit is None


def test_waiting_more_than_a_twentieth_misses_the_bar() -> None:
    bars = training.section(rounds(180, waiting=0.06), 512).charts[1].bars
    assert [bar.name for bar in bars] == ["one process", "two processes"]
    assert not any(bar.limit and bar.limit.kept(bar.value) for bar in bars)


def test_the_section_says_that_no_gpu_was_measured() -> None:
    assert "has **not** been measured" in training.section(rounds(180), 512).prose


def test_the_first_epoch_is_not_counted() -> None:
    lines = [
        "training flights on 10 rows",
        "millrace epoch=1 rows_per_second=10 waiting_for_data=0.9",
        "millrace epoch=2 rows_per_second=100 waiting_for_data=0.01",
        "millrace epoch=3 rows_per_second=300 waiting_for_data=0.03",
    ]
    assert training.result(lines) == Result(200, 0.02)
    assert training.result(lines, lines) == Result(200, 0.02)


def test_given_a_busy_machine_then_the_quietest_rounds_count() -> None:
    # Given a machine whose others use less and less of it
    shares = iter([0.5, 0.4, 0.3, 0.03, 0.02, 0.01])

    def one_round(*_: object) -> Round:
        return Round({}, next(shares))

    # When two rounds are asked for, then measuring ends with the second quiet one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "one_round", one_round)
        found = training.measure({}, 2, 6, 0)
    assert [one.others for one in found] == [0.02, 0.03]


def test_growth_is_the_processor_time_of_a_row_against_that_at_fewer_rows() -> None:
    found = preprocessing.section([measured(1, 10), measured(10, 50), measured(30, 180)])
    bars = {bar.name: bar.value for bar in found.charts[0].bars}
    assert bars["10 to 1 times the rows"] == pytest.approx(0.5)
    assert bars["30 to 10 times the rows"] == pytest.approx(1.2)
    assert [row[3] for row in found.rows] == ["–", "8,889", "13,000"]
    assert found.title == "Preprocessing at 1, 10 and 30 times the rows"
    assert "others used 25% to 25% of its cores" in found.prose


def test_what_the_job_tells_of_its_stages_is_noted() -> None:
    one = Measured(10)
    for line in (
        "not JSON",
        json.dumps({"event": "started", "stage": "clean flights"}),
        json.dumps({"event": "finished", "stage": "clean flights", "seconds": 3.5, "read": 42}),
        json.dumps({"event": "finished", "stage": "clean planes", "seconds": 1.5, "read": 7}),
    ):
        one.hear(line)
    assert one.stages == {"clean flights": 3.5, "clean planes": 1.5}
    assert one.rows == 42


def test_a_process_tells_its_memory_and_its_work() -> None:
    one = Measured(1)
    one.look([os.getpid(), 2**30])
    assert list(one.peaks) == [os.getpid()]
    assert one.memory > 0.01
    assert one.worked[os.getpid()] > 0


def test_busy_seconds_leave_out_what_a_core_idled_or_waited(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 99999 88888 4 5 1 0 0\ncpu0 1 1 1 1 1\n")
    assert others.busy(tmp_path / "stat") == pytest.approx(160 / os.sysconf("SC_CLK_TCK"))


def test_where_the_system_does_not_tell_nobody_else_is_seen(tmp_path: Path) -> None:
    assert others.busy(tmp_path / "none") == 0


def test_a_process_that_was_only_just_forked_does_not_count_its_parents_memory_again() -> None:
    one = Measured(1, peaks={7: 2**30, 8: 2**30}, worked={7: 3.0, 8: 0.0})
    assert one.memory == 1.0
