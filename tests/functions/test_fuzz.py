"""Whatever a caller sends: an answer or a problem document, never a fault of ours."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.predict.bundle import Manifest
from functions.predict.explain import flaws_of
from functions.predict.json_form import JsonForm
from functions.predict.layout import Layout
from functions.predict.problem import Problem
from functions.predict.routes import Service

from .gateway import event, read
from .tiny_bundle import PARCELS, Tiny, manifest

REFUSED = {400, 404, 413, 415}
# Half surrogate pairs included: JSON can spell them.
text = st.text(st.characters(exclude_categories=()))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([feature.name for feature in PARCELS])
likely = st.sampled_from(["north", "coast", "", None, 0, 3, -2.5, 1e30, 1.0000001e30, 10**40, True])
record = st.dictionaries(names, likely, max_size=6).map(lambda some: {"depot": "north", "distance": 1} | some)
request = st.fixed_dictionaries({"records": st.lists(record | anything, max_size=4)})
column = st.lists(likely, max_size=3) | st.just([1, 2]) | st.just(["north", "south"])
columns = st.fixed_dictionaries(
    {
        "columns": st.dictionaries(names, column, max_size=6).map(
            lambda some: {"depot": ["north"], "distance": [1]} | some
        )
    }
)


def check(service: Service, asked: dict[str, Any]) -> None:
    response = service.answer(asked, None)
    answer = read(response)
    if response["statusCode"] == 200:
        assert all(0 <= prediction["probability"] <= 1 for prediction in answer.get("predictions", []))
    else:
        assert response["statusCode"] in REFUSED
        assert answer["detail"]


@given(
    body=st.text(st.characters(exclude_categories=())) | anything.map(json.dumps) | request.map(json.dumps)
)
def test_any_text_is_answered_or_refused(service: Service, body: str) -> None:
    check(service, event(body))


@given(body=st.binary())
def test_any_bytes_are_answered_or_refused(service: Service, body: bytes) -> None:
    check(service, event(b64encode(body).decode(), encoded=True))


@given(
    headers=st.none() | st.dictionaries(st.sampled_from(["Content-Type", "content-encoding"]), st.text()),
    model=st.none() | st.text(),
    resource=st.text(),
)
def test_any_headers_and_path_are_answered_or_refused(
    service: Service, headers: dict[str, str] | None, model: str | None, resource: str
) -> None:
    check(service, event("{}", headers=headers, model=model, resource=resource))
    check(service, event("{}", headers=headers, model=model))


@pytest.fixture(scope="module")
def layout() -> Layout:
    return Layout(msgspec.convert(manifest(Tiny(), b""), Manifest))


@pytest.fixture(scope="module")
def form(layout: Layout) -> JsonForm:
    return JsonForm(layout, memoryview(bytearray(layout.row.size * layout.limits.records)), None)


@given(document=request | columns | anything)
def test_the_typed_decoder_refuses_exactly_what_has_a_flaw(
    layout: Layout, form: JsonForm, document: Any
) -> None:
    flaws = list(flaws_of(document, {feature.name: feature for feature in layout.features}))

    try:
        form.values(json.dumps(document).encode())
    except Problem as problem:
        assert flaws or "no record" in problem.detail or problem.status == 422
        assert bool(problem.flaws) == bool(flaws)
    else:
        assert not flaws


@given(document=request | columns)
def test_what_is_answered_at_once_is_answered_alike_with_care(
    layout: Layout, form: JsonForm, document: Any
) -> None:
    body = json.dumps(document)
    memory = bytearray(layout.row.size * layout.limits.records)
    count, shape = JsonForm(layout, memoryview(memory), None).ordinary(body)
    if not count:
        return
    again = bytearray(len(memory))

    records, again_shape = form.values(body)

    layout.fill(memoryview(again), records)
    assert (memory, len(records), again_shape) == (again, count, shape)
    assert not any(layout.cautions(values) for values in records)
