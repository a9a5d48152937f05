"""What memory is chosen from a measured curve, and what the kernel is told to hold a process to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.memory import DONE, Point, choose, dollars, section
from benchmarks.quota import QuotaError, ahead, group, limits, peak_of, share_of


def point(memory: int, start: float, *, cost: float = 0.2, peak: float = 60.0) -> Point:
    return Point(memory=memory, start=start, one=(1, 2), many=(2, 3), packed=(2, 3), peak=peak, dollars=cost)


def test_given_a_flat_bill_then_the_smallest_size_near_the_fastest_start_is_chosen() -> None:
    points = [point(128, 1400), point(512, 104), point(1024, 100), point(1769, 96)]
    assert choose(points).memory == 512


def test_given_a_fast_size_that_costs_more_then_it_is_not_chosen() -> None:
    points = [point(512, 380), point(1024, 180), point(1769, 90, cost=0.3)]
    assert choose(points).memory == 1024


def test_given_a_size_that_the_function_nearly_fills_then_it_is_not_chosen() -> None:
    points = [point(128, 100, peak=90), point(256, 100, peak=90)]
    assert choose(points).memory == 256


def test_given_no_size_with_room_then_the_error_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="add sizes"):
        choose([point(128, 100, peak=900)])


def test_a_request_is_billed_in_whole_milliseconds() -> None:
    # 1 GB for 1 ms, a million times: 1000 GB-seconds.
    assert dollars(1024, [[0.1, 0.9, 1.0]]) == pytest.approx(0.20 + 1000 * 0.0000133334)
    assert dollars(1024, [[1.1]]) == pytest.approx(0.20 + 2000 * 0.0000133334)


def test_the_emulators_line_gives_the_duration() -> None:
    line = "[INFO] (rapid) INVOKE RTDONE(status: success, produced bytes: 0, duration: 4.449000ms)"
    assert DONE.findall(line) == ["4.449000"]


def test_the_section_marks_the_choice_and_fits_its_header() -> None:
    found = section([point(128, 900), point(1769, 90)])
    assert [row[0] for row in found.rows] == ["128", "1769 **(chosen)**"]
    assert "is 1769 by default; this curve chooses 1769." in found.prose


def test_the_section_does_not_call_default_what_it_merely_chose() -> None:
    found = section([point(128, 900), point(512, 90)])
    assert "is 1769 by default; this curve chooses 512." in found.prose


def test_the_share_is_that_of_lambda() -> None:
    assert (share_of(1769), share_of(3008)) == (1.0, 1.0)
    assert share_of(128) == pytest.approx(0.0724, abs=1e-4)


@pytest.mark.parametrize(
    ("folder", "share", "written"),
    [
        ("cpu/it", 0.5, ["20000", "10000", "100000"]),
        ("cpu/it", None, ["20000", "-1", "100000"]),
        ("it", 0.5, ["10000 20000", "10000"]),
        ("it", None, ["max 20000", "10000"]),
    ],
)
def test_the_kernel_is_told_the_share_of_each_period(
    folder: str, share: float | None, written: list[str], tmp_path: Path
) -> None:
    assert list(limits(tmp_path / folder, share, 20_000).values()) == written


def test_given_no_right_to_make_a_group_then_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(QuotaError, match="as root, on Linux"), group(0.5, tmp_path / "missing"):
        pass


def test_given_no_right_to_make_a_group_then_work_is_started_as_usual(tmp_path: Path) -> None:
    with ahead(tmp_path / "missing") as command:
        assert command == ()


def test_the_peak_of_a_process_is_found() -> None:
    assert peak_of(Path(f"/proc/{os.getpid()}/status")) > 10
