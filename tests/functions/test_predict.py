"""A record in, a probability out."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from .conftest import Ask, serve
from .gateway import HEALTH, MODEL, event, read, records
from .tiny_bundle import PARCEL, Input, Tiny, make_bundle

VARIANTS: list[dict[str, Any]] = [
    PARCEL,
    {"depot": "south", "distance": 0},
    {"depot": "north", "distance": 4999.5, "weight": None, "region": None, "volume": None, "colour": None},
    {"depot": "south", "distance": 1, "weight": 3, "region": "plain", "volume": 9, "colour": "red"},
]


def test_every_record_gets_the_models_probability_in_the_requests_order(ask: Ask, tiny: Tiny) -> None:
    response = ask(event(records(*VARIANTS)))

    answer = read(response)
    assert response["statusCode"] == 200
    assert (answer["model"], answer["version"]) == ("parcels", "run-1")
    found = [prediction["probability"] for prediction in answer["predictions"]]
    assert found == pytest.approx([tiny.probability(record) for record in VARIANTS], abs=1e-6)


def test_the_decision_follows_the_threshold(ask: Ask) -> None:
    near = {"depot": "north", "distance": 100}
    far = {"depot": "south", "distance": 4000}

    decisions = [prediction["decision"] for prediction in read(ask(event(records(near, far))))["predictions"]]

    assert decisions == ["on time", "late"]


def test_ids_are_the_requests_with_the_records_place(ask: Ask) -> None:
    predictions = read(ask(event(records(PARCEL, PARCEL))))["predictions"]

    assert [prediction["id"] for prediction in predictions] == ["0a1b2c3d-0", "0a1b2c3d-1"]


def test_an_ordinary_record_has_no_warnings(ask: Ask) -> None:
    assert read(ask(event(records(PARCEL))))["predictions"][0]["warnings"] == []


@pytest.mark.parametrize(
    ("changed", "field", "problem"),
    [
        ({"weight": 150}, "weight", "150 is above 100 kg"),
        ({"distance": -1.5}, "distance", "-1.5 is below 0 km"),
        ({"volume": 11}, "volume", "11 is above 10 m³"),
        ({"depot": "west"}, "depot", "the model has not seen this value in training"),
        ({"region": "\u0000"}, "region", "the model has not seen this value in training"),
    ],
)
def test_an_implausible_value_is_answered_and_flagged_in_its_record(
    ask: Ask, changed: dict[str, Any], field: str, problem: str
) -> None:
    predictions = read(ask(event(records(PARCEL, PARCEL | changed))))["predictions"]

    assert predictions[0]["warnings"] == []
    assert predictions[1]["warnings"] == [{"field": field, "problem": problem}]
    assert 0 <= predictions[1]["probability"] <= 1


def test_a_value_may_be_spelt_as_the_raw_data_spell_it(ask: Ask) -> None:
    spellings = ("ALPS", "alps", "flat land", "plain")

    found = read(ask(event(records(*(PARCEL | {"region": region} for region in spellings)))))["predictions"]

    assert [prediction["warnings"] for prediction in found] == [[]] * 4
    mountains, mountain, lowland, plain = (prediction["probability"] for prediction in found)
    assert mountains == mountain != lowland == plain


def test_a_category_that_the_model_does_not_read_is_never_unseen(ask: Ask) -> None:
    prediction = read(ask(event(records(PARCEL | {"colour": "infrared"}))))["predictions"][0]

    assert prediction["warnings"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json; charset=utf-8"},
        {"content-type": "application/vnd.parcels+json"},
        {"CONTENT-TYPE": "Application/JSON"},
        {},
    ],
)
def test_json_is_json_however_it_is_declared(ask: Ask, headers: dict[str, str]) -> None:
    assert ask(event(records(PARCEL), headers=headers))["statusCode"] == 200


def test_a_body_that_the_gateway_encoded_is_decoded(ask: Ask) -> None:
    plain = event(records(PARCEL))
    encoded = event(b64encode(plain["body"].encode()).decode(), encoded=True)

    assert read(ask(encoded)) == read(ask(plain))


def test_no_answer_is_cached_and_each_names_its_version(ask: Ask) -> None:
    for request in (event(records(PARCEL)), event(resource=MODEL), event(resource=HEALTH), event("{")):
        headers = ask(request)["headers"]
        assert headers["Cache-Control"] == "no-store"
        assert headers["x-millrace-version"] == "run-1"


def test_the_model_describes_itself_well_enough_to_be_called(ask: Ask) -> None:
    about = read(ask(event(resource=MODEL)))

    example = about["examples"][0]
    prediction = read(ask(event(records(example["record"]))))["predictions"][0]
    assert prediction["probability"] == pytest.approx(example["probability"], abs=1e-6)
    assert {"min": 0, "max": 100, "unit": "kg"}.items() <= about["features"][2].items()
    assert about["limits"] == {"records": 100, "body_bytes": 100_000}
    assert about["metrics"]["test"]["auc"] == 0.75


def test_a_served_model_is_healthy(ask: Ask) -> None:
    assert read(ask(event(resource=HEALTH))) == {"status": "ok", "model": "parcels", "version": "run-1"}


@pytest.mark.parametrize("kind", ["number", "category"])
def test_a_model_of_one_kind_of_feature_is_served(tmp_path: Path, kind: str) -> None:
    inputs = (Input(name="the one", kind=kind, required=True, values=("a",)),)
    record = {"the one": 3.0 if kind == "number" else "a"}
    tiny = Tiny(inputs=inputs, examples=(record,))
    make_bundle(tmp_path / "bundle", tiny)

    response = serve(tmp_path).answer(event(records(record)), None)

    assert read(response)["predictions"][0]["probability"] == pytest.approx(tiny.probability(record))
