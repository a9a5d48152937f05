"""Triton's client as it is shipped, with nothing added but the token."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

from tests.functions.tiny_bundle import Tiny

from .gateway import TOKEN

Record = dict[str, Any]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def client(url: str) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(url.removeprefix("http://")) as made:
        yield made


def headers() -> dict[str, str]:
    """A dictionary of its own for each call: the client writes into it."""
    return dict(HEADERS)


def inputs(tiny: Tiny, each: Sequence[Record], number: Any = np.float32, *, binary: bool = True) -> list[Any]:
    """A tensor for each feature that any record has."""
    found = []
    for feature in tiny.inputs:
        values = [record.get(feature.name) for record in each]
        if all(value is None for value in values):
            continue
        if feature.kind == "number":
            data = np.array([math.nan if value is None else value for value in values], number)
        else:
            data = np.array([(value or "").encode() for value in values], object)
        found.append(tensor(feature.name, data, binary=binary))
    return found


def tensor(name: str, data: Any, *, binary: bool = True) -> Any:
    kinds = {"f": "FP32", "d": "FP64", "e": "FP16", "q": "INT64", "l": "INT64", "O": "BYTES"}
    made = triton.InferInput(name, list(data.shape), kinds[data.dtype.char])
    made.set_data_from_numpy(data, binary_data=binary)
    return made


def probabilities(answers: Sequence[Record]) -> list[float]:
    return [answer["probability"] for answer in answers]


def test_the_client_finds_server_and_model_alive_and_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live(headers())
    assert client.is_server_ready(headers())
    assert client.is_model_ready("flights", headers=headers())
    assert client.is_model_ready("flights", "run-1", headers=headers())
    assert not client.is_model_ready("flights", "run-2", headers=headers())
    assert not client.is_model_ready("trains", headers=headers())


def test_the_client_reads_the_metadata(client: triton.InferenceServerClient, tiny: Tiny) -> None:
    assert "binary_tensor_data" in client.get_server_metadata(headers())["extensions"]
    about = client.get_model_metadata("flights", "run-1", headers=headers())
    assert [each["name"] for each in about["inputs"]] == [feature.name for feature in tiny.inputs]
    assert about == client.get_model_metadata("flights", headers=headers())


@pytest.mark.parametrize(
    "form",
    [(np.float32, True), (np.float64, True), (np.float64, False)],
    ids=["FP32 in bytes", "FP64 in bytes", "FP64 in JSON"],
)
def test_an_inference_gets_the_numbers_of_the_apis_own_route(
    client: triton.InferenceServerClient,
    tiny: Tiny,
    each: Sequence[Record],
    expected: list[Record],
    form: tuple[Any, bool],
) -> None:
    number, binary = form
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("probability", "decision")]

    answer = client.infer(
        "flights",
        inputs(tiny, each, number, binary=binary),
        outputs=wanted,
        request_id="42",
        headers=headers(),
        parameters={"who": "a test"},
    )

    assert answer.get_response()["id"] == "42"
    assert answer.as_numpy("probability").dtype == np.float32
    found = answer.as_numpy("decision").tolist()
    assert [text.decode() if isinstance(text, bytes) else text for text in found] == [
        prediction["decision"] for prediction in expected
    ]
    if number is np.float64:  # what JSON's records hold, to the last bit
        assert answer.as_numpy("probability").tolist() == probabilities(expected)
    assert answer.as_numpy("probability") == pytest.approx(np.array(probabilities(expected), np.float32))


def test_all_outputs_come_where_none_is_named(
    client: triton.InferenceServerClient, tiny: Tiny, each: Sequence[Record], expected: list[Record]
) -> None:
    answer = client.infer("flights", inputs(tiny, each), "run-1", headers=headers())

    found = [json.loads(text) for text in answer.as_numpy("warnings")]
    assert [[warning["field"] for warning in one] for one in found] == [
        [warning["field"] for warning in prediction["warnings"]] for prediction in expected
    ]
    assert any(found)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_packed_request_is_answered(
    client: triton.InferenceServerClient,
    tiny: Tiny,
    each: Sequence[Record],
    expected: list[Record],
    coding: str,
) -> None:
    answer = client.infer(
        "flights",
        inputs(tiny, each, np.float64),
        headers=headers(),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )

    assert answer.as_numpy("probability").tolist() == probabilities(expected)


def test_requests_that_do_not_wait_for_each_other_are_answered(
    client: triton.InferenceServerClient, tiny: Tiny, each: Sequence[Record], expected: list[Record]
) -> None:
    waiting = [
        client.async_infer("flights", inputs(tiny, [record], np.float64), headers=headers())
        for record in each
    ]

    found = [each.get_result().as_numpy("probability").item() for each in waiting]
    assert found == probabilities(expected)


def test_the_asynchronous_client_is_answered_too(
    url: str, tiny: Tiny, each: Sequence[Record], expected: list[Record]
) -> None:
    async def ask() -> Any:
        async with aio.InferenceServerClient(url.removeprefix("http://")) as client:
            return await client.infer("flights", inputs(tiny, each, np.float64), headers=headers())

    assert asyncio.run(ask()).as_numpy("probability").tolist() == probabilities(expected)


def test_one_matrix_of_texts_gets_the_same_numbers(
    client: triton.InferenceServerClient, tiny: Tiny, each: Sequence[Record], expected: list[Record]
) -> None:
    names = [feature.name for feature in tiny.inputs]
    texts = [["" if record.get(name) is None else str(record[name]) for name in names] for record in each]
    rows = np.array([[text.encode() for text in row] for row in texts], object)

    answer = client.infer("flights", [tensor("rows", rows)], headers=headers())

    assert answer.as_numpy("probability").tolist() == probabilities(expected)


@pytest.mark.parametrize(
    ("model", "named", "said", "status"),
    [
        ("flights", "altitude", "there is no input `altitude`", "400"),
        ("trains", "distance", "there is no model `trains` here", "404"),
    ],
)
def test_an_error_reaches_the_caller_in_words(
    client: triton.InferenceServerClient, model: str, named: str, said: str, status: str
) -> None:
    with pytest.raises(InferenceServerException, match=said) as caught:
        client.infer(model, [tensor(named, np.array([1.0], np.float32))], headers=headers())

    assert caught.value.status() == status


def test_what_triton_alone_has_is_refused_in_the_protocols_form(client: triton.InferenceServerClient) -> None:
    for ask in (client.get_model_repository_index, client.get_inference_statistics, client.get_log_settings):
        with pytest.raises(InferenceServerException) as caught:
            ask(headers=headers())
        assert caught.value.status() == "404"
        assert "exception occurred in the client" not in caught.value.message()
