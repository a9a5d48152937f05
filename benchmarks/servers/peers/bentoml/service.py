"""BentoML: a service with one worker; the call stays on the event loop, which costs less than a thread."""

from __future__ import annotations

from typing import Any

import bentoml

from benchmarks.servers.peers.bundled import Scorer


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": True})
class Predictor:
    """The bundle as BentoML's service."""

    def __init__(self) -> None:
        self._scorer = Scorer.open()

    @bentoml.api
    async def predict(self, records: list[dict[str, Any]]) -> dict[str, list[float]]:
        """Answer a predict request."""
        return {"probabilities": self._scorer.score(records).tolist()}
