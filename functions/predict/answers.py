"""Answers as bytes, put together from pieces that are the same for every request: no tree of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from .bundle import Manifest
from .layout import Caution

encode = msgspec.json.Encoder().encode
Cautions = Mapping[int, Sequence[Caution]]
"""What deserves a second look, by the record's place; ordinary records have no entry."""


class JsonAnswer:
    """Writes the JSON answers of one manifest: per record its id, probability, decision and warnings.

    An id is the request's with the record's place appended: unique, and both can be found again from it.
    """

    def __init__(self, manifest: Manifest) -> None:
        decision = manifest.decision
        self._threshold = decision.threshold
        self._positive, self._negative = (
            f',"decision":{_json(name)},"warnings":' for name in (decision.positive, decision.negative)
        )
        about = f'"model":{_json(manifest.workload)},"version":{_json(manifest.version)}'
        self._head = f'{{{about},"predictions":[{{"id":"'
        self._places = [f'-{place}","probability":' for place in range(manifest.limits.records)]

    def one(self, request_id: str, probability: float) -> str:
        """Answer a single ordinary record."""
        decided = self._positive if probability >= self._threshold else self._negative
        return f'{self._head}{_inner(request_id)}-0","probability":{_json(probability)}{decided}[]}}]}}'

    def many(self, request_id: str, probabilities: list[float], cautions: Cautions) -> str:
        """Answer every record, in the request's order."""
        count = len(probabilities)
        next_id = '},{"id":"' + _inner(request_id)
        positive, negative = f"{self._positive}[]{next_id}", f"{self._negative}[]{next_id}"
        threshold = self._threshold
        pieces = [""] * (3 * count)
        pieces[::3] = self._places[:count]
        pieces[1::3] = _json(probabilities)[1:-1].split(",")
        pieces[2::3] = [positive if value >= threshold else negative for value in probabilities]
        for place, found in cautions.items():
            decided = self._positive if probabilities[place] >= threshold else self._negative
            pieces[3 * place + 2] = decided + _json(found) + next_id
        return f"{self._head}{_inner(request_id)}{''.join(pieces).removesuffix(next_id)}}}]}}"


def _json(value: object) -> str:
    return encode(value).decode()


def _inner(text: str) -> str:
    """Return ``text`` as it stands between the quotes of a JSON string."""
    return encode(text).decode()[1:-1]
