"""The deployed API keeps to the document that `millrace openapi` writes of it."""

from __future__ import annotations

import gzip
import json
import struct
import urllib.error
import urllib.request
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from contract.openapi import HEALTH, MODEL, PREDICT, PROBABILITIES, RECORDS
from tests.functions.test_forms import documented
from tests.functions.unequal import allow_unequal_columns
from tests.life.world import TOY, World

pytestmark = pytest.mark.life


@pytest.fixture(scope="module")
def document(released: World) -> dict[str, Any]:
    return dict(json.loads(released.millrace("openapi", "--workload", TOY).stdout))


def test_every_form_of_a_request_gets_the_same_numbers_over_http(
    released: World, document: dict[str, Any]
) -> None:
    records = document["components"]["schemas"]["Record"]["examples"]
    url = document["servers"][0]["url"] + PREDICT.replace("{model}", TOY)
    plain = {"Authorization": f"Bearer {released.token()}", "Content-Type": "application/json"}
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = {"columns": {name: [record.get(name) for record in records] for name in names}}
    about = json.loads(call(url.removesuffix("/predict"), plain))["binary"]
    binary = documented()["encode"](records, about["numbers"], about["categories"])

    answered = json.loads(call(url, plain, json.dumps({"records": records}).encode()))
    in_columns = json.loads(call(url, plain, json.dumps(columns).encode()))
    packed = gzip.compress(json.dumps({"records": records}).encode())
    unpacked = json.loads(call(url, plain | {"Content-Encoding": "gzip"}, packed))
    bare = call(url, plain | {"Content-Type": RECORDS, "Accept": PROBABILITIES}, binary)

    expected = [prediction["probability"] for prediction in answered["predictions"]]
    assert len(expected) == len(records)
    assert in_columns["columns"]["probability"] == expected
    assert [prediction["probability"] for prediction in unpacked["predictions"]] == expected
    assert list(struct.unpack(f"<{len(records)}f", bare)) == expected
    with pytest.raises(urllib.error.HTTPError, match="415"):
        call(url, plain | {"Content-Encoding": "gzip"}, b"not packed")


def call(url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30) as answer:
        content: bytes = answer.read()
        return content


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("path", "method"), [(PREDICT, "POST"), (MODEL, "GET"), (HEALTH, "GET")])
def test_the_running_api_keeps_to_its_description(
    released: World, document: dict[str, Any], path: str, method: str, mode: GenerationMode
) -> None:
    if (path, mode) == (HEALTH, GenerationMode.NEGATIVE):
        pytest.skip("a route without parameters cannot be asked wrongly")
    server = document["servers"][0]["url"]
    headers = {"Authorization": f"Bearer {released.token()}"}
    schema = schemathesis.openapi.from_dict(document)
    allow_unequal_columns(schema)
    operation = schema[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def hold(case: schemathesis.Case[Any]) -> None:
        # The gateway answers another method by itself: 404 here, 403 or 404 on AWS, not 405.
        case.call_and_validate(base_url=server, headers=headers, excluded_checks=[checks.unsupported_method])

    hold()
