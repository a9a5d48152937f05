"""The protocol's routes: health, metadata, readiness and inference, with its own errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..answers import check_size
from ..bundle import Bundle, Manifest
from ..core import JSON, UNRELEASED, Reply
from ..predictor import Predictor, count_of
from ..problem import Problem
from .answers import DATATYPES, Outputs
from .asked import Reader
from .columns import datatype_of
from .form import TensorForm

ROOT = "/v2"
BYTES = "application/octet-stream"
SERVER = {"name": "millrace", "version": "0.1.0", "extensions": ["binary_tensor_data"]}
"""The answer of the server's metadata. The version is pyproject.toml's; a test holds it to that."""
PLATFORM = "onnx_onnxv1"
LONG_ID = 1000
"""Characters of a caller's id from which on the answer's size is looked at: it comes back in there."""

Headers = Mapping[str, str]


class OpenInference:
    """Answers the protocol with one bundle, or says that there is none. One thread at a time."""

    def __init__(self, bundle: Bundle | None, predictor: Predictor | None, workload: str = "") -> None:
        self._manifest = bundle.manifest if bundle else None
        self._model = self._manifest.workload if self._manifest else workload
        version = self._manifest.version if self._manifest else None
        self._headers = {"Cache-Control": "no-store"} | ({"x-millrace-version": version} if version else {})
        self._json_headers = {"Content-Type": JSON, **self._headers}
        self._infer: Inferring | None = None
        if self._manifest and predictor:
            self._infer = Inferring(self._manifest, predictor)
        self._at_once = self._paths_of_inference()

    def _paths_of_inference(self) -> frozenset[str]:
        if self._manifest is None:
            return frozenset()
        model = f"{ROOT}/models/{self._model}"
        return frozenset({f"{model}/infer", f"{model}/versions/{self._manifest.version}/infer"})

    def answer(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        """Answer a request below /v2; ``headers`` have lower-case names. The answer is always a reply.

        Its body is text where it is JSON alone, bytes where tensors follow.
        """
        try:
            if method == "POST" and path in self._at_once and self._infer:
                return self._inference(headers, body)
            return self._other(method, path, headers, body)
        except Problem as problem:
            return self.refuse(problem)
        except Exception as error:
            return self._error(500, "this is our fault; the server's log tells more", failure=error)

    # ---- inference ----------------------------------------------------------------------------

    def _inference(self, headers: Headers, body: bytes) -> Reply:
        if self._infer is None:
            raise Problem(503, UNRELEASED)
        text, blob, records, warnings = self._infer.answer(headers, body)
        if not blob:
            return Reply(text, self._json_headers, records=records, warnings=warnings)
        head = text.encode()
        told = {"Content-Type": BYTES, "Inference-Header-Content-Length": str(len(head)), **self._headers}
        return Reply(head + blob, told, records=records, warnings=warnings)

    # ---- all else -----------------------------------------------------------------------------

    def _other(self, method: str, path: str, headers: Headers, body: bytes) -> Reply:
        parts = [part for part in path.partition("?")[0].split("/") if part][1:]
        answer = self._route(parts, headers, body)
        if answer is None:
            raise Problem(404, f"there is no such route here: {path}")
        wanted, work = answer
        if method != wanted:
            return self._error(405, f"{path} takes {wanted}", allow=wanted)
        return work()

    def _route(
        self, parts: list[str], headers: Headers, body: bytes
    ) -> tuple[str, Callable[[], Reply]] | None:
        match parts:
            case []:
                return "GET", lambda: self._told(SERVER)
            case ["health", "live"]:
                return "GET", lambda: self._told({"live": True})
            case ["health", "ready"]:
                return "GET", lambda: self._ready({})
            case ["models", model, "versions", version, *rest]:
                return self._model_route(_plain(model), _plain(version), rest, headers, body)
            case ["models", model, *rest]:
                return self._model_route(_plain(model), None, rest, headers, body)
        return None

    def _model_route(
        self, model: str, version: str | None, rest: list[str], headers: Headers, body: bytes
    ) -> tuple[str, Callable[[], Reply]] | None:
        match rest:
            case []:
                return "GET", lambda: self._metadata(model, version)
            case ["ready"]:
                return "GET", lambda: self._model_ready(model, version)
            case ["infer"]:
                return "POST", lambda: self._infer_with(model, version, headers, body)
        return None

    def _infer_with(self, model: str, version: str | None, headers: Headers, body: bytes) -> Reply:
        self._check_model(model, version)
        return self._inference(headers, body)

    def _model_ready(self, model: str, version: str | None) -> Reply:
        self._check_model(model, version)
        return self._ready({"name": model})

    def _ready(self, about: dict[str, Any]) -> Reply:
        if self._manifest is None:
            return self._error(503, UNRELEASED, **about, ready=False)
        return self._told({**about, "ready": True})

    def _metadata(self, model: str, version: str | None) -> Reply:
        self._check_model(model, version)
        if self._manifest is None:
            raise Problem(503, UNRELEASED)
        return self._told(describe(self._manifest))

    def _check_model(self, model: str, version: str | None) -> None:
        if self._model and model != self._model:
            raise Problem(404, f"there is no model `{model}` here; this is `{self._model}`")
        if self._manifest and version not in (None, self._manifest.version):
            raise Problem(
                404, f"there is no version `{version}` of `{model}` here; it is `{self._manifest.version}`"
            )

    # ---- replies ------------------------------------------------------------------------------

    def _told(self, about: dict[str, Any]) -> Reply:
        return Reply(msgspec.json.encode(about).decode(), self._json_headers)

    def refuse(self, problem: Problem) -> Reply:
        """Turn a problem into the protocol's error."""
        # What the API's own routes call unprocessable is to this protocol a bad request.
        return self._error(400 if problem.status == 422 else problem.status, told(problem))

    def _error(
        self, status: int, message: str, *, allow: str = "", failure: Exception | None = None, **more: Any
    ) -> Reply:
        body = msgspec.json.encode({**more, "error": message}).decode()
        headers = {**self._json_headers, "Allow": allow} if allow else self._json_headers
        return Reply(body, headers, status, failure=failure)


class Inferring:
    """Inference with one model."""

    def __init__(self, manifest: Manifest, predictor: Predictor) -> None:
        self._predictor = predictor
        self._reader = Reader(manifest.features, manifest.limits.body_bytes)
        self._form = predictor.form(TensorForm)
        self._outputs = Outputs(manifest.workload, manifest.version, manifest.decision)

    def answer(self, headers: Headers, body: bytes) -> tuple[str, bytes, int, int]:
        """Return the answer's JSON and the bytes behind it, and how many records and warnings there are.

        Raises Problem.
        """
        asked = self._reader.read(headers, body)
        probabilities, cautions, _ = self._predictor.score(self._form, asked)
        text, blob = self._outputs.write(asked.request.id, asked.outputs, probabilities, cautions)
        if cautions or (asked.request.id and len(asked.request.id) > LONG_ID):
            check_size(text.encode() + blob if blob else text)
        return text, blob, len(probabilities), count_of(cautions)


def describe(manifest: Manifest) -> dict[str, Any]:
    """Return a model's metadata: an input of shape [n] for each feature, and the outputs."""
    return {
        "name": manifest.workload,
        "versions": [manifest.version],
        "platform": PLATFORM,
        "inputs": [
            {
                "name": feature.name,
                "datatype": datatype_of(feature),
                "shape": [-1],
                "parameters": {"required": feature.required},
            }
            for feature in manifest.features
        ],
        "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in DATATYPES.items()],
    }


def told(problem: Problem) -> str:
    """Return a problem in one line: each flaw with its place, or what is wrong with the whole."""
    flaws = [
        f"record {flaw.record}, `{flaw.field}` {flaw.problem}"
        if flaw.field
        else f"record {flaw.record}: {flaw.problem}"
        for flaw in problem.flaws
    ]
    return "; ".join(flaws) or problem.detail


def _plain(part: str) -> str:
    """Return a part of a path as it was before it was quoted."""
    if "%" not in part:
        return part
    from urllib.parse import unquote  # noqa: PLC0415 - for few, and slow to import

    return unquote(part)
