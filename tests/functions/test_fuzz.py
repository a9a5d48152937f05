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
from functions.predict.decode import Decoder
from functions.predict.explain import flaws_of
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
def promised() -> Manifest:
    return msgspec.convert(manifest(Tiny(), b""), Manifest)


@given(document=request | anything)
def test_the_typed_decoder_refuses_exactly_what_has_a_flaw(promised: Manifest, document: Any) -> None:
    flaws = list(flaws_of(document, {feature.name: feature for feature in promised.features}))

    try:
        Decoder(promised).rows(json.dumps(document).encode())
    except Problem as problem:
        assert flaws or "`records` is empty" in problem.detail
        assert bool(problem.flaws) == bool(flaws)
    else:
        assert not flaws
