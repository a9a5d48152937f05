"""Charts: what a reader sees of a value, an interval, a limit; and that the document is well formed."""

from xml.etree import ElementTree

import pytest

from benchmarks.charts import Bar, Chart, Limit, Line, drawing, logarithmic, number, steps

SVG = "{http://www.w3.org/2000/svg}"


def texts(charts: list[Chart]) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing(charts)).iter(f"{SVG}text")]


def rectangles(charts: list[Chart]) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawing(charts)).iter(f"{SVG}rect"))[1:]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.8333, "0.833"),
        (10.94, "10.9"),
        (318.2, "318"),
        (0.00123, "0.00123"),
        (10_103_280, "10,103,280"),
        (0, "0"),
    ],
)
def test_a_number_has_three_digits_and_no_power_of_ten(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("limit", "value", "kept"),
    [
        (Limit("≤", 0.4), 0.4, True),
        (Limit("≤", 0.4), 0.41, False),
        (Limit("≥", 0.8), 0.8, True),
        (Limit("≥", 0.8), 0.79, False),
    ],
)
def test_a_limit_is_kept_up_to_itself(limit: Limit, value: float, kept: bool) -> None:
    assert limit.kept(value) is kept


def test_given_a_bar_with_a_limit_when_drawn_then_value_and_limit_are_written_beside_it() -> None:
    chart = Chart(title="share", bars=(Bar(name="1 record", value=0.35, limit=Limit("≤", 0.4)),))
    assert texts([chart]) == ["share", "1 record", "0.350 · bar: ≤ 0.4"]


def test_given_bars_when_drawn_then_their_lengths_are_as_their_values() -> None:
    bars = (Bar(name="a", value=1.0), Bar(name="b", value=4.0))
    short, long = (float(shape.attrib["width"]) for shape in rectangles([Chart(title="t", bars=bars)]))
    assert long / short == pytest.approx(4, rel=0.01)


def test_given_a_missed_limit_when_drawn_then_the_bar_has_the_limits_colour() -> None:
    kept, missed = (Bar(name=name, value=value, limit=Limit("≤", 1)) for name, value in (("k", 1), ("m", 2)))
    fills = [shape.attrib["fill"] for shape in rectangles([Chart(title="t", bars=(kept, missed))])]
    assert fills == ["var(--c0)", "var(--limit)"]


def test_given_lines_when_drawn_then_each_has_a_name_and_every_x_a_tick() -> None:
    lines = (
        Line(name="JSON", points=((1, 20.0), (64, 300.0))),
        Line(name="binary", points=((1, 10.0), (32, 50.0), (64, 90.0))),
    )
    written = texts([Chart(title="µs", lines=lines, across="records", tall=True)])
    assert {"JSON", "binary", "1", "32", "64", "records"} <= set(written)


def test_names_with_markup_are_text() -> None:
    assert "<b> & c" in texts([Chart(title="t", bars=(Bar(name="<b> & c", value=1),))])


def test_charts_stand_below_each_other() -> None:
    chart = Chart(title="t", bars=(Bar(name="a", value=1),))
    one, two = (float(ElementTree.fromstring(drawing([chart] * count)).attrib["height"]) for count in (1, 2))
    assert two == 2 * one


def test_equal_factors_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    axis = logarithmic(1, 100, 0, 10)
    assert [axis(1), axis(10), axis(100)] == pytest.approx([0, 5, 10])


@pytest.mark.parametrize("top", [0.07, 1, 3.3, 99, 1e6])
def test_an_axis_has_some_round_steps_within_it(top: float) -> None:
    found = steps(top)
    assert 4 <= len(found) <= 11
    assert found[0] == 0
    assert found[-1] <= top


@pytest.mark.parametrize("both", [True, False])
def test_a_chart_of_neither_or_both_kinds_is_refused(both: bool) -> None:
    bars, lines = (Bar(name="a", value=1),), (Line(name="b", points=((1, 1),)),)
    with pytest.raises(ValueError, match='chart "t": give it either bars or lines'):
        Chart(title="t", bars=bars if both else (), lines=lines if both else ())
