"""LitServe: one worker beside one HTTP server, the faster of its queues between them."""

from __future__ import annotations

import os
from typing import Any

import litserve

from ..bundled import Floats, Scorer


class Api(litserve.LitAPI):
    """The bundle as LitServe's API."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Open the bundle, in the worker."""
        self._scorer = Scorer.open()

    def decode_request(self, request):  # type: ignore[no-untyped-def] # annotated, FastAPI would check it
        """Return the records."""
        return request["records"]

    def predict(self, x: list[dict[str, Any]], **_: Any) -> Floats:
        """Return each record's probability."""
        return self._scorer.score(x)

    def encode_response(self, output):  # type: ignore[no-untyped-def] # as above
        """Return the answer."""
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
