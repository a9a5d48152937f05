"""From a request's body to its answer. Knows no event and no AWS."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from .answers import Cautions, JsonAnswer, check_size
from .binary_form import BinaryForm
from .bundle import Bundle
from .generate import strange_finder
from .json_form import JsonForm
from .kernel import load
from .layout import Layout, Shape, Values
from .problem import Flaw, Problem

Body_contra = TypeVar("Body_contra", contravariant=True)
Made = TypeVar("Made")


class Form(Protocol[Body_contra]):
    """One way to write a request."""

    def ordinary(self, body: Body_contra) -> tuple[int, Shape]:
        """Fill the model's memory; return the number of records, 0 for all that is not ordinary."""
        ...

    def values(self, body: Body_contra) -> tuple[Sequence[Values], Shape]:
        """Return the values of each record, and how they are written. Raises Problem."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What became of a request: the body of the answer, and what to count."""

    body: str | bytes
    """Text, or the bytes of a binary answer."""
    records: int
    warnings: int = 0


class Predictor:
    """Answers with one bundle. ``slow`` says why some requests take longer than they need, and what to do."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest, self._model = bundle.manifest, bundle.model
        self._layout = Layout(bundle.manifest)
        self._strange = strange_finder(self._layout)
        self._write = JsonAnswer(bundle.manifest)
        kernel, self.slow = load(self._layout, self._model.rows)
        self.json: Form[str | bytes] = JsonForm(self._layout, self._model.rows, kernel)
        self.binary = BinaryForm(self._layout, kernel)

    def predict(
        self, form: Form[Body_contra], body: Body_contra, quoted_id: str, *, floats: bool = False
    ) -> Answer:
        """Answer a body.

        Raises Problem where it holds no records that can be answered, or so strange ones that too much would
        have to be said of them.
        ``quoted_id`` is the request's id as JSON text. With ``floats`` the answer is the probabilities alone,
        float32.
        """
        probabilities, cautions, shape = self.score(form, body)
        count = len(probabilities)
        if floats:
            return Answer(bytes(self._model.last(count)), count, count_of(cautions))
        if count == 1 and shape == "records" and not cautions:
            return Answer(self._write.one(quoted_id, probabilities[0]), 1)
        write = self._write.records if shape == "records" else self._write.columns
        written = write(quoted_id, probabilities, cautions)
        if cautions:
            check_size(written)
        return Answer(written, count, count_of(cautions))

    def score(self, form: Form[Body_contra], body: Body_contra) -> tuple[list[float], Cautions, Shape]:
        """Return each record's probability, what deserves a second look, and how the body is written.

        Raises Problem where it holds no records that can be answered.
        """
        count, shape = form.ordinary(body)
        cautions: Cautions = {}
        if not count:
            records, shape = form.values(body)
            count, cautions = self._look_again(records)
        probabilities = self._model.run(count)
        if not math.isfinite(sum(probabilities)):
            raise _no_answer(probabilities)
        return probabilities, cautions, shape

    def form(self, make: Callable[[Layout, memoryview], Made]) -> Made:
        """Make another way to write requests, which fills this model's memory."""
        return make(self._layout, self._model.rows)

    def _look_again(self, records: Sequence[Values]) -> tuple[int, Cautions]:
        """Fill the model's memory with lawful records of any kind; return what deserves a second look."""
        self._layout.fill(self._model.rows, records)
        strange = self._strange(records)
        return len(records), {place: self._layout.cautions(records[place]) for place in strange}

    def warm(self) -> None:
        """Answer the bundle's own examples, so that the first caller does not pay for first times."""
        examples = self._manifest.examples[: self._layout.limits.records]
        for records in (
            [example.record for example in examples],
            [example.record for example in examples[:1]],
        ):
            if records:
                self.predict(self.json, msgspec.json.encode({"records": records}), '"warm"')


def count_of(cautions: Cautions) -> int:
    """Return how many cautions there are."""
    return sum(map(len, cautions.values()))


def _no_answer(probabilities: list[float]) -> Problem:
    flaws = tuple(
        Flaw("the model has no probability for these values", record=index)
        for index, probability in enumerate(probabilities)
        if not math.isfinite(probability)
    )
    return Problem(422, "Numbers far out of bounds leave the model without an answer.", flaws)
