"""The published description and the running function hold each other to their word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from contract import openapi
from contract.load import workload
from contract.schema import Contract
from functions.predict import layout, request

from .conftest import serve
from .gateway import event, read, records
from .tiny_bundle import make_bundle, tiny_of
from .unequal import allow_unequal_columns
from .wsgi import Gateway

# Methods and credentials are API Gateway's business, before the function is reached.
GATEWAYS_OWN = [checks.unsupported_method, checks.ignored_auth]


@pytest.fixture(scope="session")
def contract() -> Contract:
    return workload("flights")


@pytest.fixture(scope="session")
def gateway(contract: Contract, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    root = tmp_path_factory.mktemp("flights")
    make_bundle(root / "bundle", tiny_of(contract))
    return Gateway(serve(root, "flights"))


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        (openapi.PREDICT, "POST", GenerationMode.POSITIVE),
        (openapi.PREDICT, "POST", GenerationMode.NEGATIVE),
        (openapi.MODEL, "GET", GenerationMode.POSITIVE),
        (openapi.MODEL, "GET", GenerationMode.NEGATIVE),
        (openapi.HEALTH, "GET", GenerationMode.POSITIVE),
    ],
)
def test_the_function_keeps_to_its_description(
    document: dict[str, Any], gateway: Gateway, path: str, method: str, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_dict(document | {"servers": [{"url": "http://localhost"}]})
    schema.app = gateway
    allow_unequal_columns(schema)

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    def hold(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(excluded_checks=GATEWAYS_OWN)

    hold()


@pytest.fixture(scope="session")
def document(contract: Contract) -> dict[str, Any]:
    return openapi.document(contract, "https://example.org/live")


def test_the_document_is_json_and_refers_to_nothing_that_is_missing(document: dict[str, Any]) -> None:
    text = json.dumps(document)

    for name in text.split('"#/components/schemas/')[1:]:
        assert name.split('"')[0] in document["components"]["schemas"]


def test_a_field_says_its_meaning_unit_bounds_and_whether_it_may_be_missing(document: dict[str, Any]) -> None:
    record = document["components"]["schemas"]["Record"]

    temp = record["properties"]["temp"]
    assert temp["description"] == "Temperature at the origin in the hour of departure (from -60 to 130 °F)"
    assert temp["type"] == ["number", "null"]
    assert record["properties"]["carrier"]["type"] == "string"
    assert "carrier" in record["required"]
    assert "temp" not in record["required"]
    assert record["additionalProperties"] is False


def test_the_limits_of_a_request_are_told(document: dict[str, Any]) -> None:
    for name in ("Records", "Columns"):
        described = document["components"]["schemas"][name]["description"]
        assert described == "At most 1000 records and 1000000 bytes."


def test_the_description_and_the_function_draw_the_same_line_and_name_the_same_forms() -> None:
    assert openapi.LARGEST == layout.LARGEST
    assert (openapi.RECORDS, openapi.PROBABILITIES) == (request.RECORDS, request.PROBABILITIES)


def test_the_requests_that_the_documentation_shows_are_answered(gateway: Gateway) -> None:
    shown = (Path(__file__).parents[2] / "docs/api.md").read_text().split("```json\n")[1:]

    for block in shown:
        response = gateway.service.answer(event(block.partition("```")[0], model="flights"), None)
        assert response["statusCode"] == 200, response["body"]
    assert len(shown) == 2


def test_the_contracts_examples_are_answered_without_warnings_of_bounds(
    contract: Contract, tmp_path: Path
) -> None:
    values = tuple({str(v) for record in contract.examples for v in record.values() if isinstance(v, str)})
    make_bundle(tmp_path / "bundle", tiny_of(contract, values))

    response = serve(tmp_path, "flights").answer(event(records(*contract.examples), model="flights"), None)

    predictions = read(response)["predictions"]
    assert [prediction["warnings"] for prediction in predictions] == [[] for _ in contract.examples]
