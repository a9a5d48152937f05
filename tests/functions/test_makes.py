"""Models of every make: numbers alone, categories alone, bounds that float32 does not have."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

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
