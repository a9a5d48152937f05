"""Answers as bytes, put together from pieces that are the same for every request: no tree of objects."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec

from .bundle import Manifest
from .layout import Caution
from .problem import Problem

encode = msgspec.json.Encoder().encode
Cautions = Mapping[int, Sequence[Caution]]
"""What deserves a second look, by the record's place; ordinary records have no entry."""
MOST_BYTES = 6 * 1024 * 1024 - 64 * 1024
"""What a call of a Lambda function carries of an answer's body. The contract's limit of records keeps within
it whatever has no warnings, by the same figures (``contract/limits.py``)."""


class JsonAnswer:
    """Writes the JSON answers of one manifest: per record its id, probability, decision and warnings.

    An id is the request's with the record's place appended: unique, and both can be found again from it.
    Requests' ids are given as JSON texts, quotes included.
    """

    def __init__(self, manifest: Manifest) -> None:
        decision = manifest.decision
        self._threshold = decision.threshold
        self._positive, self._negative = _json(decision.positive), _json(decision.negative)
        self._about = f'{{"model":{_json(manifest.workload)},"version":{_json(manifest.version)},'
        self._places = [f'-{place}"' for place in range(manifest.limits.records)]

    def one(self, quoted_id: str, probability: float) -> str:
        """Answer a single ordinary record."""
        decision = self._positive if probability >= self._threshold else self._negative
        return (
            f'{self._about}"predictions":[{{"id":{quoted_id[:-1]}-0","probability":{_json(probability)},'
            f'"decision":{decision},"warnings":[]}}]}}'
        )

    def records(self, quoted_id: str, probabilities: list[float], cautions: Cautions) -> str:
        """Answer records with a prediction each, in the request's order."""
        count = len(probabilities)
        next_id = '},{"id":' + quoted_id[:-1]
        positive, negative = (
            f',"decision":{decision},"warnings":[]{next_id}' for decision in (self._positive, self._negative)
        )
        threshold = self._threshold
        pieces = [',"probability":'] * (4 * count)
        pieces[::4] = self._places[:count]
        pieces[2::4] = _texts(probabilities)
        pieces[3::4] = [positive if value >= threshold else negative for value in probabilities]
        for place, found in cautions.items():
            decided = pieces[4 * place + 3].removesuffix("[]" + next_id)
            pieces[4 * place + 3] = decided + _json(found) + next_id
        first = next_id.removeprefix("},")
        return f'{self._about}"predictions":[{first}{"".join(pieces).removesuffix(next_id)}}}]}}'

    def columns(self, quoted_id: str, probabilities: list[float], cautions: Cautions) -> str:
        """Answer columns with columns; ``warnings`` lists only the records that have some."""
        opened, threshold = quoted_id[:-1], self._threshold
        positive, negative = self._positive, self._negative
        ids = f",{opened}".join(self._places[: len(probabilities)])
        decisions = ",".join([positive if value >= threshold else negative for value in probabilities])
        found = [{"record": place, "warnings": warnings} for place, warnings in cautions.items()]
        return (
            f'{self._about}"columns":{{"id":[{opened}{ids}],"probability":{_json(probabilities)},'
            f'"decision":[{decisions}]}},"warnings":{_json(found)}}}'
        )


def check_size(body: str | bytes) -> None:
    """Raise Problem 413 for an answer that warnings, or a caller's long id, make too large for its way.

    It is refused wherever it is made, so that all ways to serve a model answer alike.
    """
    # A text is one within JSON, and bytes come in base64.
    size = len(json.dumps(body)) if isinstance(body, str) else 4 * -(-len(body) // 3)
    if size > MOST_BYTES:
        why = (
            f"With warnings and id the answer would take {size} bytes on its way; at most {MOST_BYTES} pass."
        )
        raise Problem(413, f"{why} Send fewer records at once, or without the values that are warned of.")


def _json(value: object) -> str:
    return encode(value).decode()


def _texts(numbers: list[float]) -> list[str]:
    """Return each number as JSON has it: one call of the encoder is much faster than one for each."""
    return _json(numbers)[1:-1].split(",")
