"""The deployed API keeps to the document that `millrace openapi` writes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from contract.openapi import HEALTH, MODEL, PREDICT
from tests.life.world import TOY, World

pytestmark = pytest.mark.life


@pytest.fixture(scope="module")
def document(released: World) -> dict[str, Any]:
    return dict(json.loads(released.millrace("openapi", "--workload", TOY).stdout))


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize(("path", "method"), [(PREDICT, "POST"), (MODEL, "GET"), (HEALTH, "GET")])
def test_the_running_api_keeps_to_its_description(
    released: World, document: dict[str, Any], path: str, method: str, mode: GenerationMode
) -> None:
    if (path, mode) == (HEALTH, GenerationMode.NEGATIVE):
        pytest.skip("a route without parameters cannot be asked wrongly")
    server = document["servers"][0]["url"]
    headers = {"Authorization": f"Bearer {released.token()}"}
    operation = schemathesis.openapi.from_dict(document)[path][method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    def hold(case: schemathesis.Case[Any]) -> None:
        # The gateway answers another method by itself: 404 here, 403 or 404 on AWS, not 405.
        case.call_and_validate(base_url=server, headers=headers, excluded_checks=[checks.unsupported_method])

    hold()
