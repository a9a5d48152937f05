"""The deployed API of the Open Inference Protocol, asked by a client that knows nothing of Millrace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.life.world import TOY, World

pytestmark = pytest.mark.life


@pytest.fixture(scope="module")
def client(released: World) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(released.outputs()["inference_url"].removeprefix("http://")) as made:
        yield made


@pytest.fixture
def authorized(released: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {released.token()}"}


def inputs(records: list[dict[str, Any]], names: list[str]) -> list[triton.InferInput]:
    """A tensor of bytes for each feature that a record has; what another lacks is missing there."""
    found = []
    for name in names:
        values = [record.get(name) for record in records]
        texts = any(isinstance(value, str) for value in values)
        if texts:
            data = np.array([value or "" for value in values], object)
        elif any(value is not None for value in values):
            data = np.array(values, np.float64)
        else:
            continue
        found.append(triton.InferInput(name, [len(values)], "BYTES" if texts else "FP64"))
        found[-1].set_data_from_numpy(data)
    return found


def test_a_client_as_it_is_shipped_gets_the_numbers_of_the_other_api(
    released: World,
    client: triton.InferenceServerClient,
    authorized: dict[str, str],
    url: str,
    records: dict[str, Any],
) -> None:
    own = released.call("POST", url, records, authorized["Authorization"].removeprefix("Bearer "))
    version = own.body["version"]
    assert client.is_server_ready(dict(authorized))
    assert client.is_model_ready(TOY, version, headers=dict(authorized))
    names = [each["name"] for each in client.get_model_metadata(TOY, headers=dict(authorized))["inputs"]]
    sent = inputs(records["records"], names)

    for packed in (None, "gzip", "deflate"):
        answer = client.infer(
            TOY, sent, version, headers=dict(authorized), request_compression_algorithm=packed
        )
        wanted = [prediction["probability"] for prediction in own.body["predictions"]]
        assert answer.as_numpy("probability").tolist() == wanted
    logged = released.lines("inference-api")[-1]
    assert (logged["route"].endswith("/infer"), logged["status"]) == (True, "200")


def test_what_the_gateway_refuses_by_itself_is_an_error_of_the_protocol(
    client: triton.InferenceServerClient, authorized: dict[str, str]
) -> None:
    with pytest.raises(InferenceServerException, match="Unauthorized: Send") as caught:
        client.get_server_metadata()
    assert caught.value.status() == "401"
    with pytest.raises(InferenceServerException, match="There is no such route") as caught:
        client.get_model_repository_index(headers=authorized)
    assert caught.value.status() == "404"
