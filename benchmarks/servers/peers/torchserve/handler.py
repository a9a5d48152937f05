"""TorchServe's custom handler: the frontend in Java hands the parsed JSON of a request to this worker."""

from __future__ import annotations

from typing import Any

from benchmarks.servers.peers.bundled import Scorer


class Handler:
    """The bundle as TorchServe's handler."""

    def initialize(self, _context: Any) -> None:
        """Open the bundle."""
        self._scorer = Scorer.open()

    def handle(self, data: list[dict[str, Any]], _context: Any) -> list[dict[str, list[float]]]:
        """Answer the requests of one batch; its size is one."""
        return [{"probabilities": self._scorer.score(one["body"]["records"]).tolist()} for one in data]
