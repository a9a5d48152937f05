"""However a request is written, it gets the same numbers."""

from __future__ import annotations

import gzip
import json
import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.predict.request import PROBABILITIES, RECORDS
from functions.predict.routes import Service

from .conftest import Ask
from .gateway import MODEL, event, read, records
from .tiny_bundle import PARCEL, PARCELS, Tiny

ORDINARY: list[dict[str, Any]] = [
    PARCEL,
    {"depot": "south", "distance": 0},
    {"depot": "north", "distance": 4999.5, "weight": None, "region": None, "volume": None, "colour": None},
    {"depot": "south", "distance": 1, "weight": 3, "region": "plain", "volume": 9, "colour": "red"},
]
STRANGE: list[dict[str, Any]] = [*ORDINARY, PARCEL | {"weight": 150, "region": "moon"}]
NUMBERS = [feature.name for feature in PARCELS if feature.kind == "number"]
CATEGORIES = [feature.name for feature in PARCELS if feature.kind == "category"]
ROOT = Path(__file__).parents[2]
Records = Sequence[dict[str, Any]]


def as_columns(each: Records) -> dict[str, Any]:
    names = [feature.name for feature in PARCELS if any(feature.name in record for record in each)]
    return {"columns": {name: [record.get(name) for record in each] for name in names}}


def documented() -> dict[str, Any]:
    """Run the client that docs/api.md shows."""
    _, _, rest = (ROOT / "docs/api.md").read_text().partition("```python\n")
    client: dict[str, Any] = {}
    exec(rest.partition("```")[0], client)
    return client


def as_binary(each: Records) -> bytes:
    body: bytes = documented()["encode"](each, NUMBERS, CATEGORIES)
    return body


def binary_event(body: bytes, **headers: str) -> dict[str, Any]:
    return event(b64encode(body).decode(), headers={"Content-Type": RECORDS, **headers}, encoded=True)


def test_given_the_model_describes_itself_then_it_tells_the_order_of_binary(ask: Ask) -> None:
    about = read(ask(event(resource=MODEL)))

    assert about["binary"] == {"numbers": NUMBERS, "categories": CATEGORIES}


def probabilities(response: dict[str, Any]) -> list[float]:
    assert response["statusCode"] == 200, response["body"]
    answer = read(response)
    if "columns" in answer:
        return list(answer["columns"]["probability"])
    return [prediction["probability"] for prediction in answer["predictions"]]


@pytest.mark.parametrize("each", [ORDINARY, STRANGE, [PARCEL]], ids=["ordinary", "strange", "one"])
def test_given_the_same_records_when_written_otherwise_then_the_numbers_are_the_same(
    ask: Ask, tiny: Tiny, each: Records
) -> None:
    expected = probabilities(ask(event(records(*each))))

    assert expected == pytest.approx([tiny.probability(record) for record in each], abs=1e-6)
    assert probabilities(ask(event(as_columns(each)))) == expected
    assert probabilities(ask(binary_event(as_binary(each)))) == expected
    bare = ask(binary_event(as_binary(each), Accept=f"{PROBABILITIES}, */*"))
    assert np.frombuffer(b64decode(bare["body"]), "<f4").tolist() == expected


def test_given_columns_then_the_answer_is_columns_and_names_only_what_deserves_a_look(
    ask: Ask, tiny: Tiny
) -> None:
    answer = read(ask(event(as_columns(STRANGE))))

    assert answer["columns"]["id"] == [f"0a1b2c3d-{place}" for place in range(5)]
    late = [tiny.probability(record) >= 0.5 for record in STRANGE]
    assert {*late} == {True, False}
    assert answer["columns"]["decision"] == ["late" if each else "on time" for each in late]
    (found,) = answer["warnings"]
    assert found["record"] == 4
    assert {warning["field"] for warning in found["warnings"]} == {"weight", "region"}


def test_given_binary_when_bare_probabilities_are_asked_for_then_warnings_are_counted(ask: Ask) -> None:
    response = ask(binary_event(as_binary(STRANGE), Accept=PROBABILITIES))

    assert response["isBase64Encoded"] is True
    assert response["headers"]["Content-Type"] == PROBABILITIES
    assert response["headers"]["x-millrace-warnings"] == "2"
    assert response["headers"]["x-millrace-version"] == "run-1"


@pytest.mark.parametrize("colour", ["red", "grün"])
def test_given_json_then_it_is_answered_in_json_whatever_its_texts(ask: Ask, colour: str) -> None:
    body = json.dumps(records({**PARCEL, "colour": colour}), ensure_ascii=False)
    headers = {"Content-Type": "application/json", "Accept": PROBABILITIES}

    response = ask(event(body, headers=headers))

    assert response["headers"]["Content-Type"] == "application/json"
    assert len(probabilities(response)) == 1


@pytest.mark.parametrize("body", [json.dumps(records(*ORDINARY)), json.dumps(as_columns(ORDINARY))])
def test_given_gzip_that_arrives_packed_then_it_is_unpacked(ask: Ask, body: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    packed = b64encode(gzip.compress(body.encode())).decode()

    assert probabilities(ask(event(packed, headers=headers, encoded=True))) == probabilities(ask(event(body)))


def test_given_gzip_that_the_gateway_has_unpacked_then_it_is_answered(ask: Ask) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert ask(event(records(PARCEL), headers=headers))["statusCode"] == 200


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (gzip.compress(b"{}", mtime=0)[:-4], 400, "ends early"),
        (b"\x1f\x8bnothing", 400, "is not gzip"),
        (gzip.compress(b" " * 200_000, mtime=0), 413, "at most 100000"),
        (
            gzip.compress(json.dumps(records(PARCEL)).encode(), mtime=0) + b"junk",
            400,
            "More follows the gzip",
        ),
    ],
)
def test_given_bad_gzip_then_it_is_refused(ask: Ask, body: bytes, status: int, detail: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    response = ask(event(b64encode(body).decode(), headers=headers, encoded=True))

    assert response["statusCode"] == status
    assert detail in read(response)["detail"]


@pytest.mark.parametrize(
    ("columns", "status", "flaws"),
    [
        ({"depot": ["north"]}, 400, [{"field": "distance", "problem": "is required, and missing"}]),
        (
            {"depot": ["north"], "distance": 3},
            400,
            [{"field": "distance", "problem": "is a number, not a list"}],
        ),
        (
            {"depot": ["north", ""], "distance": [1, None]},
            400,
            [
                {"field": "depot", "record": 1, "problem": "is required, and empty"},
                {"field": "distance", "record": 1, "problem": "is required, and null"},
            ],
        ),
        (
            {"depot": ["north"], "distance": [1], "speed": [1]},
            400,
            [{"field": "speed", "problem": "is not a field of this model"}],
        ),
        ({"depot": ["north"], "distance": [1, 2]}, 422, []),
        ({"depot": ["north", "south"], "distance": [1, 2], "weight": []}, 422, []),
    ],
)
def test_given_flawed_columns_then_each_place_is_named(
    ask: Ask, columns: dict[str, Any], status: int, flaws: list[dict[str, Any]]
) -> None:
    response = ask(event({"columns": columns}))

    assert response["statusCode"] == status
    assert read(response)["errors"] == flaws


def test_given_columns_and_records_then_one_is_asked_for(ask: Ask) -> None:
    response = ask(event(records(PARCEL) | as_columns([PARCEL])))

    assert response["statusCode"] == 400
    assert "send one of them" in read(response)["errors"][0]["problem"]


def test_given_flawed_values_in_binary_then_each_place_is_named(ask: Ask) -> None:
    flawed = [PARCEL, {"region": "coast", "weight": math.inf, "distance": 1e31}]

    answer = read(ask(binary_event(as_binary(flawed))))

    assert [(flaw["record"], flaw["field"], flaw["problem"]) for flaw in answer["errors"]] == [
        (1, "depot", "is required, and missing"),
        (1, "weight", "must be a finite number; send null for an unknown value"),
        (1, "distance", "is beyond ±1e+30"),
    ]


GOOD = as_binary(ORDINARY)


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"MRB2" + GOOD[4:], 400, "does not begin with MRB1"),
        (GOOD[:9], 400, "does not begin with MRB1"),
        (GOOD[:40], 400, "ends early"),
        (GOOD + b"\0more", 400, "texts where the counts promise"),
        (GOOD[:-1] + b"\xff", 400, "not UTF-8"),
        (GOOD[:4] + struct.pack("<I", 101) + GOOD[8:], 413, "101 records"),
        (as_binary([PARCEL])[:4] + struct.pack("<I", 0) + struct.pack("<3H", 0, 0, 0), 400, "no record"),
        (GOOD[:8] + struct.pack("<3H", 1, 3, 3) + GOOD[14:], 400, "not below the number of texts"),
    ],
)
def test_given_binary_that_does_not_fit_together_then_it_is_refused(
    ask: Ask, body: bytes, status: int, detail: str
) -> None:
    response = ask(binary_event(body))

    assert response["statusCode"] == status, response["body"]
    assert detail in read(response)["detail"]


def test_given_binary_that_arrives_as_text_then_it_is_refused(ask: Ask) -> None:
    response = ask(event("MRB1", headers={"Content-Type": RECORDS}))

    assert response["statusCode"] == 400
    assert "did not arrive as bytes" in read(response)["detail"]


@pytest.mark.parametrize("each", [[PARCEL], ORDINARY[:2], ORDINARY], ids=["one", "plain", "with nulls"])
def test_given_ordinary_requests_then_they_are_answered_at_once(
    service: Service, monkeypatch: pytest.MonkeyPatch, each: Records
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the careful way was taken")

    for form in (service._predictor.json, service._encoded):  # type: ignore[union-attr]
        monkeypatch.setattr(form, "values", fail)
    monkeypatch.setattr(service, "_with_care", fail)

    for request in (records(*each), as_columns(each)):
        assert service.answer(event(request), None)["statusCode"] == 200
    for accept in ("*/*", PROBABILITIES):
        assert service.answer(binary_event(as_binary(each), Accept=accept), None)["statusCode"] == 200
