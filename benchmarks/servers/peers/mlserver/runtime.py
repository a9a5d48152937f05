"""MLServer with a custom runtime: Open Inference Protocol v2, one FP32 tensor of encoded rows."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from ..bundled import Scorer


class Runtime(MLModel):
    """The bundle as MLServer's model."""

    async def load(self) -> bool:
        """Open the bundle."""
        self._scorer = Scorer.open()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer an infer request."""
        probabilities = self._scorer.run(NumpyCodec.decode_input(payload.inputs[0]))
        output = NumpyCodec.encode_output("probability", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])
