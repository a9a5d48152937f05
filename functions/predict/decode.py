"""The request's body: bytes to typed rows, in one pass where the caller kept to the contract."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from .bundle import Feature, Manifest
from .explain import LARGEST, explain
from .problem import Problem

Row = tuple[Any, ...]
"""Numbers (float or None), then categories (str or None), in the order of ``Manifest.ordered``."""

Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
Category = Annotated[str, msgspec.Meta(min_length=1)]


def record_type(features: Sequence[Feature]) -> type[msgspec.Struct]:
    """Build the type of one record. Fields are numbered inside, so any feature name will do."""
    fields = [_field(f"f{index}", feature) for index, feature in enumerate(features)]
    names = {f"f{index}": feature.name for index, feature in enumerate(features)}
    return msgspec.defstruct(
        "Record", fields, rename=names, forbid_unknown_fields=True, kw_only=True, gc=False
    )


def _field(name: str, feature: Feature) -> tuple[str, Any] | tuple[str, Any, Any]:
    number = feature.kind == "number"
    if feature.required:
        return name, Number if number else Category
    return (name, Number | None, math.nan) if number else (name, str | None, "")


class Decoder:
    """Decodes the bodies of predict requests by one manifest."""

    def __init__(self, manifest: Manifest) -> None:
        self._features = manifest.features
        self._limits = manifest.limits
        record: Any = record_type(manifest.ordered("number") + manifest.ordered("category"))
        request = msgspec.defstruct(
            "Request",
            [("records", list[record])],
            forbid_unknown_fields=True,
        )
        self._decode = msgspec.json.Decoder(request).decode

    def rows(self, body: bytes) -> list[Row]:
        """Return a row per record; raise Problem 400 or 413, naming each record and field at fault."""
        if len(body) > self._limits.body_bytes:
            raise Problem(
                413, f"The body has {len(body)} bytes; at most {self._limits.body_bytes} are taken."
            )
        try:
            records = self._decode(body).records  # type: ignore[attr-defined]
        except (ValueError, RecursionError) as error:
            raise explain(body, self._features, error) from None
        if not 0 < len(records) <= self._limits.records:
            raise self._wrong_count(len(records))
        return [msgspec.structs.astuple(record) for record in records]

    def _wrong_count(self, count: int) -> Problem:
        if not count:
            return Problem(400, "There is nothing to predict: `records` is empty.")
        return Problem(
            413, f"There are {count} records; at most {self._limits.records} are taken. Send them in parts."
        )
