"""The Open Inference Protocol as its clients write it, in plain Python."""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from functions.predict.routes import Service

INFER = "/v2/models/{model}/infer"
INFER_VERSION = "/v2/models/{model}/versions/{version}/infer"
CODES = {"FP32": "f", "FP64": "d", "FP16": "e", "INT64": "q", "INT32": "i", "BOOL": "?", "UINT8": "B"}
Record = dict[str, Any]


def event(
    resource: str = INFER,
    body: bytes | None = None,
    *,
    method: str = "POST",
    parameters: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The event of an API that takes every body for binary."""
    return {
        "resource": resource,
        "path": resource,
        "httpMethod": method,
        "headers": headers or {},
        "pathParameters": parameters if parameters is not None else {"model": "parcels"},
        "requestContext": {"requestId": "0a1b2c3d", "stage": "live"},
        "body": None if body is None else b64encode(body).decode(),
        "isBase64Encoded": body is not None,
    }


def packed(datatype: str, values: Sequence[Any]) -> bytes:
    """The bytes of a tensor."""
    if datatype == "BYTES":
        texts = [(value or "").encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    if datatype not in CODES:
        return bytes(len(values))  # of a datatype that does not exist
    return struct.pack(f"<{len(values)}{CODES[datatype]}", *values)


def tensor(name: str, datatype: str, values: Sequence[Any], shape: list[int] | None = None) -> dict[str, Any]:
    shape = [len(values)] if shape is None else shape
    return {"name": name, "shape": shape, "datatype": datatype, "data": list(values)}


def as_bytes(*tensors: dict[str, Any], **more: Any) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request whose tensors are all sent as bytes."""
    blobs, inputs = [], []
    for each in tensors:
        blob = packed(each["datatype"], each["data"])
        told = {name: value for name, value in each.items() if name != "data"}
        inputs.append(told | {"parameters": {"binary_data_size": len(blob)}})
        blobs.append(blob)
    head = json.dumps({"inputs": inputs, **more}).encode()
    return head + b"".join(blobs), {"Inference-Header-Content-Length": str(len(head))}


def in_json(*tensors: dict[str, Any], **more: Any) -> tuple[bytes, dict[str, str]]:
    return json.dumps({"inputs": list(tensors), **more}).encode(), {}


class Answer:
    """What came back: ``told`` is the JSON, ``outputs`` the values by name, wherever they were."""

    def __init__(self, response: dict[str, Any]) -> None:
        self.status, self.headers = response["statusCode"], response["headers"]
        body = b64decode(response["body"]) if response.get("isBase64Encoded") else response["body"].encode()
        length = int(self.headers.get("Inference-Header-Content-Length", len(body)))
        self.told = json.loads(body[:length])
        self.outputs: dict[str, list[Any]] = {}
        at = length
        for output in self.told["outputs"] if "model_name" in self.told else ():
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                self.outputs[output["name"]] = output["data"]
            else:
                self.outputs[output["name"]] = unpacked(output["datatype"], body[at : at + size])
                at += size
        assert at == len(body)

    @property
    def error(self) -> str:
        assert set(self.told) == {"error"}, self.told
        return str(self.told["error"])


def unpacked(datatype: str, blob: bytes) -> list[Any]:
    if datatype != "BYTES":
        return [value for (value,) in struct.iter_unpack(f"<{CODES[datatype]}", blob)]
    found, at = [], 0
    while at < len(blob):
        (size,) = struct.unpack_from("<I", blob, at)
        found.append(blob[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def ask(
    service: Service, body: bytes, headers: dict[str, str], resource: str = INFER, **named: Any
) -> Answer:
    return Answer(service.answer(event(resource, body, headers=headers, **named), None))
