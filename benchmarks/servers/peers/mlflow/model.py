"""mlflow: the bundle as a pyfunc model made from code; rows of a data frame in, probabilities out."""

from __future__ import annotations

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from benchmarks.servers.peers.bundled import Floats, Scorer


class Predictor(PythonModel):
    """The bundle as mlflow's model."""

    def load_context(self, context: Any) -> None:  # noqa: ARG002 - mlflow's signature
        """Open the bundle."""
        self._scorer = Scorer.open()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Floats:  # noqa: ARG002
        """Return the probability of each row of a data frame."""
        return self._scorer.score(model_input.to_dict("records"))


set_model(Predictor())
