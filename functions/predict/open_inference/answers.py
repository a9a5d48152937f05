"""Answers of the protocol: the outputs that were asked for, in JSON or as bytes behind it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

from ..answers import Cautions
from ..bundle import Decision
from .asked import Wanted
from .tensors import TEXT, element

encode = msgspec.json.Encoder().encode
DATATYPES = {"probability": "FP32", "decision": TEXT, "warnings": TEXT}
"""The outputs, each of shape [n]. ``warnings`` are a JSON list for each record, as the API's own answers
have it."""
NONE = "[]"


class Outputs:
    """Writes the outputs of one model."""

    def __init__(self, model: str, version: str, decision: Decision) -> None:
        self._about = f'{{"model_name":{_json(model)},"model_version":{_json(version)}'
        self._threshold = decision.threshold
        words = (decision.negative, decision.positive)
        self._words = tuple(map(_json, words))
        self._elements = tuple(map(element, words))
        self._none, self._none_element = _json(NONE), element(NONE)

    def write(
        self, id: Any, outputs: Sequence[Wanted], probabilities: list[float], cautions: Cautions
    ) -> tuple[str, bytes]:
        """Return the answer's JSON, and the bytes behind it. ``id`` is the request's, or UNSET."""
        told = "" if id is msgspec.UNSET else f',"id":{_json(id)}'
        pieces, blobs, count = [], [], len(probabilities)
        for output in outputs:
            name = output.name
            if output.binary:
                blob = self._binary(name, probabilities, cautions)
                blobs.append(blob)
                held = f'"parameters":{{"binary_data_size":{len(blob)}}}'
            else:
                held = f'"data":[{self._text(name, probabilities, cautions)}]'
            pieces.append(f'{{"name":"{name}","datatype":"{DATATYPES[name]}","shape":[{count}],{held}}}')
        return f'{self._about}{told},"outputs":[{",".join(pieces)}]}}', b"".join(blobs)

    def _text(self, name: str, probabilities: list[float], cautions: Cautions) -> str:
        if name == "probability":
            return _json(probabilities)[1:-1]
        if name == "decision":
            words, threshold = self._words, self._threshold
            return ",".join([words[value >= threshold] for value in probabilities])
        found = [self._none] * len(probabilities)
        for place, each in cautions.items():
            found[place] = _json(_json(each))
        return ",".join(found)

    def _binary(self, name: str, probabilities: list[float], cautions: Cautions) -> bytes:
        if name == "probability":
            return array("f", probabilities).tobytes()
        if name == "decision":
            words, threshold = self._elements, self._threshold
            return b"".join([words[value >= threshold] for value in probabilities])
        found = [self._none_element] * len(probabilities)
        for place, each in cautions.items():
            found[place] = element(_json(each))
        return b"".join(found)


def _json(value: object) -> str:
    return encode(value).decode()
