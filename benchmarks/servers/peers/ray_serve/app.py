"""Ray Serve: one replica behind its HTTP proxy, on a Ray that this process starts for itself."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.servers.peers.bundled import Scorer


@serve.deployment(num_replicas=1, max_ongoing_requests=100, logging_config={"enable_access_log": False})
class Predictor:
    """The bundle as Ray Serve's deployment."""

    def __init__(self) -> None:
        self._scorer = Scorer.open()

    async def __call__(self, request: Request) -> Any:
        """Answer a predict request."""
        records = (await request.json())["records"]
        return {"probabilities": self._scorer.score(records).tolist()}


def main() -> None:
    """Serve until told to stop."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["TMPDIR"])
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Predictor.bind(), name="benchmark", route_prefix="/")  # type: ignore[attr-defined]
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()


if __name__ == "__main__":
    main()
