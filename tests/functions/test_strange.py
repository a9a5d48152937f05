"""Which records deserve a second look: found by code made for the manifest, as by looking at every value."""

from __future__ import annotations

import math
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.predict.generate import strange_finder
from functions.predict.layout import LARGEST, Layout, Values

from .test_json_kernel import layout_of
from .tiny_bundle import PARCELS, Input

LAYOUT = layout_of()
FIND = strange_finder(LAYOUT)
NUMBERS = [None, math.nan, -0.0, 0, 3, LARGEST, -LARGEST, *chain(*LAYOUT.bounds.values())]
TEXTS = [None, "", *(text for feature in PARCELS for text in (*feature.values, *feature.spellings)), "moon"]


def values(layout: Layout) -> st.SearchStrategy[Values]:
    """Any lawful record, most of whose values are at an edge."""
    each = {
        "number": st.sampled_from(NUMBERS) | st.floats(-LARGEST, LARGEST),
        "category": st.sampled_from(TEXTS) | st.text(max_size=3),
    }
    return st.tuples(*(each[feature.kind] for feature in layout.features))


@given(st.lists(values(LAYOUT), max_size=4))
def test_those_are_found_that_have_a_caution(records: list[Values]) -> None:
    assert FIND(records) == [place for place, record in enumerate(records) if LAYOUT.cautions(record)]


@pytest.mark.parametrize(
    "only", [Input(name="n", kind="number"), Input(name="c", kind="category", values=("a",))], ids=str
)
def test_features_of_one_kind_are_enough(only: Input) -> None:
    find = strange_finder(layout_of((only,)))

    assert find([(None,), (1e31,) if only.kind == "number" else ("b",)]) == [1]
