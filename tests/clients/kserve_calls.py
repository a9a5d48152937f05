"""What KServe's client does with a model, wherever it is served; run by the environment that has the client.

Arguments: a token, then URLs; standard input: the columns. Prints a JSON list with what each URL told.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


def tensor(name: str, datatype: str, values: list[Any], *, binary: bool) -> InferInput:
    kinds = {"FP64": np.float64, "BYTES": object}
    data = [value.encode() for value in values] if datatype == "BYTES" else values
    made = InferInput(name, [len(values)], datatype)
    made.set_data_from_numpy(np.array(data, kinds[datatype]), binary_data=binary)
    return made


async def calls(url: str, token: str, columns: list[tuple[str, str, list[Any]]]) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"}
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
    told: dict[str, Any] = {
        "live": await client.is_server_live(url, headers=dict(headers)),
        "ready": await client.is_server_ready(url, headers=dict(headers)),
        "model": await client.is_model_ready(url, "flights", headers=dict(headers)),
        "other": await client.is_model_ready(url, "trains", headers=dict(headers)),
    }
    for name, binary in (("json", False), ("binary", True)):
        request = InferRequest(
            model_name="flights",
            request_id="42",
            infer_inputs=[tensor(*column, binary=binary) for column in columns],
            parameters={"binary_data_output": binary},
        )
        answer = await client.infer(url, request, model_name="flights", headers=dict(headers))
        found = {output.name: output.as_numpy().tolist() for output in answer.outputs}
        told[name] = {"id": answer.id, "probability": found["probability"]}
    try:
        flawed = InferRequest("flights", [tensor("altitude", "FP64", [1.0], binary=True)])
        await client.infer(url, flawed, model_name="flights", headers=dict(headers))
    except Exception as error:
        told["error"] = str(error)
    await client.close()
    return told


if __name__ == "__main__":
    token, *urls = sys.argv[1:]
    columns = json.load(sys.stdin)
    print(json.dumps([asyncio.run(calls(url, token, columns)) for url in urls]))  # noqa: T201
