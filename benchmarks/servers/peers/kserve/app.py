"""KServe's Python server with a custom model: Open Inference Protocol v2, one FP32 tensor of encoded rows."""

from __future__ import annotations

import logging
from typing import Any

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

from ..bundled import Scorer


class Predictor(Model):
    """The bundle as KServe's model."""

    def __init__(self, scorer: Scorer) -> None:
        super().__init__(scorer.name)
        self._scorer = scorer
        self.ready = True

    async def predict(self, payload: InferRequest, *_: Any, **__: Any) -> InferResponse:
        """Answer an infer request."""
        probabilities = self._scorer.run(payload.inputs[0].as_numpy())
        output = InferOutput("probability", list(probabilities.shape), "FP32")
        output.set_data_from_numpy(probabilities, binary_data=False)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    server = ModelServer()
    logging.getLogger("uvicorn.access").handlers.clear()  # uvicorn then writes no access log
    server.start([Predictor(Scorer.open())])
