"""From a request's body to its answer. Knows no event and no AWS."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from .bundle import Bundle
from .decode import Decoder
from .plausibility import Caution, Plausibility
from .problem import Flaw, Problem


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """The answer to one record."""

    id: str
    probability: float
    decision: str
    warnings: list[Caution]


class Answer(msgspec.Struct, frozen=True):
    """The answer to one request, a prediction per record, in the request's order."""

    model: str
    version: str
    predictions: list[Prediction]

    def warnings(self) -> int:
        """Count the warnings of all predictions."""
        return sum(len(prediction.warnings) for prediction in self.predictions)


class Predictor:
    """Answers with one bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._manifest = bundle.manifest
        self._decoder = Decoder(bundle.manifest)
        self._plausibility = Plausibility(bundle.manifest)
        self._width = len(bundle.manifest.ordered("number"))

    def predict(self, body: bytes, request_id: str) -> Answer:
        """Answer a body; raise Problem where it holds no records that can be answered.

        A prediction's id is the request's with the record's place appended: unique, and both can be
        found again from it.
        """
        rows = self._decoder.rows(body)
        width = self._width
        numbers = np.array([row[:width] for row in rows], dtype=np.float32)
        categories = [[value or "" for value in row[width:]] for row in rows]
        probabilities = self._bundle.probabilities(numbers, categories)
        if math.isnan(sum(probabilities)):
            raise _no_answer(probabilities)
        warnings = self._plausibility.warnings(rows, numbers, categories)
        return self._answer(request_id, probabilities, warnings)

    def _answer(self, request_id: str, probabilities: list[float], warnings: list[list[Caution]]) -> Answer:
        decision = self._manifest.decision
        predictions = [
            Prediction(
                f"{request_id}-{index}",
                probability,
                decision.positive if probability >= decision.threshold else decision.negative,
                warned,
            )
            for index, (probability, warned) in enumerate(zip(probabilities, warnings, strict=True))
        ]
        return Answer(self._manifest.workload, self._manifest.version, predictions)

    def warm(self) -> None:
        """Answer the bundle's own examples once, so that the first caller does not pay for first times."""
        records = [example.record for example in self._manifest.examples[: self._manifest.limits.records]]
        if records:
            self.predict(msgspec.json.encode({"records": records}), "warm")


def _no_answer(probabilities: list[float]) -> Problem:
    flaws = tuple(
        Flaw("the model has no probability for these values", record=index)
        for index, probability in enumerate(probabilities)
        if math.isnan(probability)
    )
    return Problem(422, "Numbers far out of bounds leave the model without an answer.", flaws)
