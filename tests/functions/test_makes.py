"""Models of every make: numbers alone, categories alone, bounds that float32 does not have."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.predict.bundle import Feature
from functions.predict.layout import bounds
from functions.predict.routes import Service

from .conftest import serve
from .gateway import event, read, records
from .test_forms import binary_event, documented, probabilities
from .tiny_bundle import Input, Tiny, make_bundle

Make = Callable[..., tuple[Tiny, Service]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(*inputs: Input, **more: Any) -> tuple[Tiny, Service]:
        tiny = Tiny(inputs=inputs, examples=(), **more)
        make_bundle(tmp_path / "bundle", tiny)
        return tiny, serve(tmp_path)

    return made


def number(name: str, **more: Any) -> Input:
    return Input(name=name, kind="number", **more)


def category(name: str, *values: str, **more: Any) -> Input:
    return Input(name=name, kind="category", values=values, **more)


def in_binary(tiny: Tiny, each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = (
        [feature.name for feature in tiny.inputs if feature.kind == kind] for kind in ("number", "category")
    )
    return binary_event(documented()["encode"](each, *names))


@pytest.mark.parametrize(
    ("inputs", "each"),
    [
        ((number("a"), number("b")), [{"a": 1, "b": 2}, {"b": -3}]),
        ((number("a"),), [{"a": 1}]),
        ((number("a", max=1),), [{"a": 1}, {"a": 2}]),
        ((category("a", "x"), category("b", "y", "z", weight=1)), [{"a": "x"}, {"b": "z"}]),
        ((category("a", "x"),), [{"a": "x"}]),
        ((number("a"), category("b"), category("c", used=False)), [{"a": 1, "b": "x"}, {"c": "x"}]),
        ((number("a", used=False), category("b", "y")), [{"a": 1, "b": "y"}, {}]),
    ],
    ids=["numbers", "one number", "a strange number", "categories", "one category", "no values", "unused"],
)
def test_given_a_model_of_any_make_then_all_forms_get_its_numbers(
    make: Make, inputs: tuple[Input, ...], each: list[dict[str, Any]]
) -> None:
    tiny, service = make(*inputs)
    columns = {"columns": {feature.name: [record.get(feature.name) for record in each] for feature in inputs}}

    answered = [
        probabilities(service.answer(asked, None))
        for asked in (event(records(*each)), event(columns), in_binary(tiny, each))
    ]

    assert answered[0] == pytest.approx([tiny.probability(record) for record in each], abs=1e-6)
    assert answered == [answered[0]] * 3


def test_given_numbers_alone_when_binary_goes_on_after_them_then_it_is_refused(make: Make) -> None:
    _, service = make(number("a"))

    response = service.answer(binary_event(struct.pack("<4sIf", b"MRB1", 1, 2.0) + b"more"), None)

    assert response["statusCode"] == 400
    assert "1 texts where the counts promise 0" in read(response)["detail"]


def float32(value: float) -> float:
    return float(np.float32(value))


@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 0.7), (-0.7, -0.1), (0, 1e-50), (-1e-50, 0.3), (16777217, 16777217), (None, None)]
)
def test_given_a_number_at_its_bound_then_every_form_finds_it_ordinary_beside_a_strange_one(
    make: Make, low: float | None, high: float | None
) -> None:
    tiny, service = make(number("a", min=low, max=high, weight=0), number("b", max=1))
    ends = [-1e30 if low is None else low, 1e30 if high is None else high]
    each = [{"a": end} for end in ends]
    strange: list[dict[str, Any]] = [*each, {"b": 2}]

    for asked in (each, strange):
        answers = [service.answer(event(records(*asked)), None), service.answer(in_binary(tiny, asked), None)]
        found = [[len(one["warnings"]) for one in read(answer)["predictions"]] for answer in answers]
        assert found == [[0, 0, 1][: len(asked)]] * 2


@given(value=st.floats(-1e30, 1e30))
def test_given_any_bound_then_it_is_widened_by_less_than_one_step_of_float32(value: float) -> None:
    low, high = bounds(Feature(name="a", kind="number", min=value, max=value))

    assert low <= value <= high
    assert low == float32(low) and high == float32(high)
    assert float(np.nextafter(np.float32(high), np.float32(-np.inf))) < value
    assert float(np.nextafter(np.float32(low), np.float32(np.inf))) > value


def test_given_bounds_beyond_what_is_taken_then_no_form_takes_more(make: Make) -> None:
    tiny, service = make(number("a", min=-1e300, max=1e300))

    for value in (1e35, -9e37):
        for asked in (event(records({"a": value})), in_binary(tiny, [{"a": value}])):
            (flaw,) = read(service.answer(asked, None))["errors"]
            assert flaw["problem"] == "is beyond ±1e+30"
