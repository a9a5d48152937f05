"""What cannot be answered is a problem document that names the place and the remedy."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from functions.predict.model import Model
from functions.predict.predictor import Predictor

from .conftest import Ask, serve
from .gateway import HEALTH, MODEL, event, read, records
from .tiny_bundle import PARCEL, Input, Tiny, make_bundle


def problem_of(response: dict[str, Any], status: int) -> dict[str, Any]:
    problem: dict[str, Any] = read(response)
    assert response["statusCode"] == problem["status"] == status
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == "0a1b2c3d"
    return problem


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("distance", '"far"', "must be a number, not text"),
        ("distance", "true", "must be a number, not true or false"),
        ("distance", "null", "is required, and null"),
        ("distance", "NaN", "must be a finite number; send null for an unknown value"),
        ("distance", "-Infinity", "must be a finite number; send null for an unknown value"),
        ("distance", "1e999", "must be a finite number; send null for an unknown value"),
        ("distance", "1e31", "is beyond ±1e+30"),
        ("distance", "9" * 40, "is beyond ±1e+30"),
        ("weight", "[]", "must be a number, not a list"),
        ("depot", "7", "must be text, not a number"),
        ("depot", '""', "is required, and empty"),
        ("region", "{}", "must be text, not an object"),
        ("region", '"\\ud800"', "holds half a surrogate pair, which is not text"),
        ("speed", "1", "is not a field of this model"),
    ],
)
def test_a_flaw_of_a_value_names_record_and_field(ask: Ask, field: str, value: str, problem: str) -> None:
    flawed = json.dumps({**PARCEL, field: "HERE"}).replace('"HERE"', value)
    body = f'{{"records": [{json.dumps(PARCEL)}, {flawed}]}}'

    answer = problem_of(ask(event(body)), 400)

    assert answer["errors"] == [{"problem": problem, "record": 1, "field": field}]


@pytest.mark.parametrize(
    "body",
    [
        f'{{"records": 5, "records": [{json.dumps(PARCEL)}]}}',
        f'{{"records": [{{"distance": "far", {json.dumps(PARCEL)[1:]}]}}',
    ],
)
def test_a_flaw_under_a_key_that_comes_again_is_explained(ask: Ask, body: str) -> None:
    assert "stand twice" in problem_of(ask(event(body)), 400)["detail"]


def test_all_flaws_are_named_at_once(ask: Ask) -> None:
    answer = problem_of(ask(event(records({"distance": "far"}, 3, {**PARCEL, "speed": 1}))), 400)

    assert [(flaw["record"], flaw.get("field")) for flaw in answer["errors"]] == [
        (0, "depot"),
        (0, "distance"),
        (1, None),
        (2, "speed"),
    ]
    assert "4 flaws" in answer["detail"]


def test_a_list_of_flaws_ends_somewhere(ask: Ask) -> None:
    answer = problem_of(ask(event(records(*[{}] * 90))), 400)

    assert len(answer["errors"]) == 20
    assert "at least 20 flaws" in answer["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (None, "There is no body"),
        ("", "There is no body"),
        ('{"records": [', "not JSON: Expecting value, line 1, column 14"),
        ("\ufeff{}", "not JSON"),
        ("\ud800", "not UTF-8"),
        ('{"records": []}', "the request holds no record"),
        ('{"columns": {"depot": [], "distance": []}}', "the request holds no record"),
        ("[" * 50_000, "nested too deep"),
        ("1" * 5_000, "a number too long"),
        ('{"records": [{"distance": ' + "1" * 5_000 + "}]}", "a number too long"),
    ],
)
def test_a_body_that_holds_no_request_is_refused(ask: Ask, body: str | None, detail: str) -> None:
    assert detail in problem_of(ask(event(body)), 400)["detail"]


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ("{}", "records", "is missing"),
        ('{"records": {}}', "records", "is an object, not a list"),
        ('{"records": null}', "records", "is null, not a list"),
        ('{"records": [], "rows": 1}', "rows", "is not a member of a request"),
        ("[]", None, "is a list, not an object"),
        ("3", None, "is a number, not an object"),
    ],
)
def test_a_request_of_another_shape_is_refused(ask: Ask, body: str, field: str | None, problem: str) -> None:
    (flaw,) = problem_of(ask(event(body)), 400)["errors"]

    assert flaw.get("field") == field
    assert flaw["problem"].startswith(problem)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("/w==", "not UTF-8"),
        ("not base64!", "not the base64"),
        ("é", "not the base64"),
        ("e30", "not the base64"),
    ],
)
def test_an_encoded_body_that_is_no_text_is_refused(ask: Ask, body: str, detail: str) -> None:
    assert detail in problem_of(ask(event(body, encoded=True)), 400)["detail"]


@pytest.mark.parametrize("size", [100_001, 300_000])
def test_too_large_a_body_is_refused(ask: Ask, size: int) -> None:
    assert "100000" in problem_of(ask(event("x" * size)), 413)["detail"]


def test_a_body_of_few_characters_but_many_bytes_is_too_large(ask: Ask) -> None:
    body = json.dumps(records({**PARCEL, "colour": "é" * 60_000}), ensure_ascii=False)

    assert len(body) < 100_000
    assert "at most 100000" in problem_of(ask(event(body)), 413)["detail"]


def test_too_many_records_are_refused(ask: Ask) -> None:
    assert "101 records; at most 100" in problem_of(ask(event(records(*[PARCEL] * 101))), 413)["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"Content-Type": "application/json", "content-encoding": "br"},
    ],
)
def test_what_is_not_taken_is_refused_by_its_headers(ask: Ask, headers: dict[str, str]) -> None:
    problem_of(ask(event(records(PARCEL), headers=headers)), 415)


@pytest.mark.parametrize("resource", [MODEL, "/v1/models/{model}/predict"])
def test_another_models_name_is_not_found(ask: Ask, resource: str) -> None:
    answer = problem_of(ask(event(records(PARCEL), resource=resource, model="boats")), 404)

    assert "`parcels`" in answer["detail"]


def test_an_unknown_route_is_not_found(ask: Ask) -> None:
    problem_of(ask(event(resource="/v3")), 404)


def test_before_the_first_release_every_route_says_so(tmp_path: Path) -> None:
    service = serve(tmp_path)

    for request in (event(records(PARCEL)), event(resource=MODEL), event(resource=HEALTH)):
        response = service.answer(request, None)
        assert "No model has been released yet" in problem_of(response, 503)["detail"]
        assert "x-millrace-version" not in response["headers"]
    assert read(response)["health"] == "unreleased"


def test_before_the_first_release_another_models_name_is_not_found(tmp_path: Path) -> None:
    problem_of(serve(tmp_path).answer(event(records(PARCEL), model="boats"), None), 404)


def test_values_that_overflow_the_model_are_refused_as_such(tmp_path: Path) -> None:
    inputs = (
        Input(name="weight", kind="number", weight=1e30),
        Input(name="region", kind="category", values=("coast",), weight=-math.inf),
    )
    make_bundle(tmp_path / "bundle", Tiny(inputs=inputs, examples=()))
    fair, endless = {"region": "coast"}, {"region": "coast", "weight": 1e30}

    response = serve(tmp_path).answer(event(records(fair, endless)), None)

    assert [flaw["record"] for flaw in problem_of(response, 422)["errors"]] == [1]


def test_a_probability_that_is_endless_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path / "bundle")
    service = serve(tmp_path)
    monkeypatch.setattr(Model, "run", lambda *_: [0.5, math.inf])

    response = service.answer(event(records(PARCEL, PARCEL)), None)

    assert [flaw["record"] for flaw in problem_of(response, 422)["errors"]] == [1]


def test_our_own_fault_is_answered_without_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bundle(tmp_path / "bundle")
    service = serve(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Predictor, "predict", fail)

    response = service.answer(event(records(PARCEL)), None)

    assert "request_id" in problem_of(response, 500)["detail"]
    assert "secret" not in response["body"]
