"""The benchmark page: made of what every benchmark published, in one order."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.charts import Bar, Chart, Limit
from benchmarks.page import (
    Machine,
    Published,
    Section,
    anchor,
    measured,
    page,
    processor,
    publish,
    read,
    table,
    verdict,
)
from benchmarks.rounds import spread

MACHINE = Machine(processor="Fast One", cores=2, memory=23.5, python="3.11.2", date="2026-11-24")
SECTION = Section(
    key="training",
    title="Training: two",
    command="make bench-training",
    prose="What was compared.",
    header=("what", "value"),
    rows=(("rate", "10"),),
    charts=(
        Chart(
            title="efficiency",
            bars=(
                Bar(name="two to one", value=0.9, low=0.88, high=0.91, limit=Limit("≥", 0.8)),
                Bar(name="waiting", value=0.1, limit=Limit("≤", 0.05)),
                Bar(name="free", value=3),
            ),
        ),
    ),
)


def test_given_a_section_when_published_then_facts_picture_and_page_are_there(tmp_path: Path) -> None:
    publish(SECTION, tmp_path)
    (published,) = read(tmp_path / "benchmarks")
    assert published.section == SECTION
    assert (tmp_path / "benchmarks/training.svg").read_text().startswith("<svg")
    written = (tmp_path / "benchmarks.md").read_text()
    assert "![Training: two](benchmarks/training.svg)" in written
    assert "Again: `make bench-training`. Machine: " in written


def test_given_a_published_section_when_another_is_then_the_page_has_both(tmp_path: Path) -> None:
    publish(SECTION, tmp_path)
    publish(replace(SECTION, key="other", title="Other", charts=()), tmp_path)
    written = (tmp_path / "benchmarks.md").read_text()
    assert "## Training: two" in written
    assert "## Other" in written
    assert "other.svg" not in written


def test_sections_stand_in_one_order_however_they_come() -> None:
    keys = ["zebra", "preprocessing", "ant", "predict", "training"]
    published = [Published(replace(SECTION, key=key, title=key), MACHINE) for key in keys]
    headings = [line for line in page(published).splitlines() if line.startswith("## ")]
    assert headings == ["## predict", "## training", "## preprocessing", "## ant", "## zebra"]


def test_what_has_a_bar_to_keep_stands_first_with_its_verdict() -> None:
    before = page([Published(SECTION, MACHINE)]).split("## Training")[0]
    link = "[Training: two](#training-two)"
    assert f"| {link} | efficiency: two to one | 0.900 (0.880–0.910) | ≥ 0.8 | kept |" in before
    assert f"| {link} | efficiency: waiting | 0.100 | ≤ 0.05 | **missed** |" in before
    assert "free" not in before


def test_the_machine_is_named() -> None:
    assert "Machine: Fast One, 2 cores, 24 GiB, Python 3.11.2, measured on 2026-11-24." in page(
        [Published(SECTION, MACHINE)]
    )


def test_a_row_that_does_not_fit_the_header_is_refused() -> None:
    with pytest.raises(ValueError, match=r"section training: row .* has 1 cells, the header 2"):
        replace(SECTION, rows=(("rate",),))


@pytest.mark.parametrize(
    ("low", "value", "said"),
    [(0.85, 0.9, "kept"), (0.75, 0.9, "kept by the median"), (0.7, 0.75, "**missed**")],
)
def test_a_limit_within_the_interval_is_not_surely_kept(low: float, value: float, said: str) -> None:
    bar = Bar(name="a", value=value, low=low, high=0.95, limit=Limit("≥", 0.8))
    assert verdict(bar) == ("≥ 0.8", said)


def test_columns_of_figures_are_set_right() -> None:
    rule = table(("what", "rate", "bar"), [("a", "10", "≤ 3"), ("b", "–", "")]).splitlines()[1]
    assert rule == "| --- | ---: | --- |"


def test_a_value_measured_once_has_no_interval() -> None:
    assert measured(Bar(name="a", value=2, low=2, high=2)) == "2.00"


def test_a_cell_keeps_its_bar_sign() -> None:
    assert table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |\n"


@pytest.mark.parametrize(
    ("title", "link"),
    [("Training: two", "training-two"), ("1 record, JSON", "1-record-json"), ("a_b-c", "a_b-c")],
)
def test_an_anchor_is_what_renderers_make_of_a_heading(title: str, link: str) -> None:
    assert anchor(title) == link


@pytest.mark.parametrize("line", ["model name\t: AMD EPYC\n", "Model\t\t: Raspberry Pi 5\n"])
def test_the_processor_is_what_the_system_calls_it(tmp_path: Path, line: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nmodel\t\t: 17\n{line}")
    assert processor(tmp_path / "cpuinfo") == line.split(":")[1].strip()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [([3.0, 1.0, 2.0], 1, 3), (range(1, 7), 1, 6), (range(1, 10), 2, 8), (range(1, 21), 6, 15)],
)
def test_an_interval_leaves_out_as_many_from_either_end_as_certainty_allows(
    values: list[float], low: float, high: float
) -> None:
    found = spread(values)
    assert (found.low, found.high) == (low, high)


def test_a_spread_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        spread([])
