"""Requests in JSON: ``{"records": [{…}, …]}``, or ``{"columns": {"name": […], …}}``."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from .bundle import Feature
from .explain import explain
from .generate import columns_filler, records_filler
from .kernel import Kernel
from .layout import LARGEST, STRANGE, Layout, Shape, Values, bounds, slots_of
from .problem import Problem, too_many

UNSET = msgspec.UNSET
Columns = list[list[Any]]


class JsonForm:
    """Reads the JSON bodies of one manifest. A body of type str is ASCII, so that its length is its bytes."""

    def __init__(self, layout: Layout, rows: memoryview, kernel: Kernel | None) -> None:
        self._layout, self._rows, self._kernel = layout, rows, kernel
        self._ordinary = msgspec.json.Decoder(request_type(layout.features, ordinary=True)).decode
        self._lawful = msgspec.json.Decoder(request_type(layout.features, ordinary=False)).decode
        self._fill_records, self._fill_columns = (
            (make(layout, gaps=False), make(layout, gaps=True)) for make in (records_filler, columns_filler)
        )

    def ordinary(self, body: str | bytes) -> tuple[int, Shape]:
        """Fill the model's memory with the body's records; return their number, and how they were written.

        0 where anything is out of the ordinary (a flaw, a value out of bounds or outside its vocabulary, too
        much of it): then ``values`` tells what. It is the path that nearly all requests take.
        """
        if len(body) > self._layout.limits.body_bytes:
            return STRANGE
        if self._kernel is not None:
            count = self._kernel.read_json(body if isinstance(body, bytes) else body.encode())
            if count:
                return (count, "records") if count > 0 else (-count, "columns")
        try:
            request: Any = self._ordinary(body)
            if request.columns is UNSET:
                return self._take_records(request.records), "records"
            return (self._take_columns(request.columns), "columns") if request.records is UNSET else STRANGE
        except (ValueError, KeyError, TypeError, RecursionError):
            return STRANGE

    def values(self, body: str | bytes) -> tuple[Sequence[Values], Shape]:
        """Return the values of each record, and how they were written.

        Raises Problem 400, 413 or 422, naming each place at fault.
        """
        body = body if isinstance(body, bytes) else body.encode()
        limits = self._layout.limits
        if len(body) > limits.body_bytes:
            raise Problem(413, f"The body has {len(body)} bytes; at most {limits.body_bytes} are taken.")
        try:
            request: Any = self._lawful(body)
            records = self._values(request)
        except (ValueError, RecursionError) as error:
            raise explain(body, self._layout.features, error) from None
        if not 0 < len(records) <= limits.records:
            raise too_many(len(records), limits.records)
        return records, "records" if request.columns is UNSET else "columns"

    def _values(self, request: Any) -> Sequence[Values]:
        if (request.records is UNSET) == (request.columns is UNSET):
            raise ValueError("neither records nor columns, or both")
        if request.columns is UNSET:
            return [msgspec.structs.astuple(record) for record in request.records]
        return list(zip(*equally_long(request.columns), strict=True))

    def _take_records(self, records: list[Any]) -> int:
        count = len(records)
        if count > self._layout.limits.records:
            return 0
        fast, slow = self._fill_records
        try:
            fast(records, self._rows)
        except struct.error:
            slow(records, self._rows)
        return count

    def _take_columns(self, columns: Any) -> int:
        lists = equally_long(columns)
        count = len(lists[0])
        if count > self._layout.limits.records:
            return 0
        fast, slow = self._fill_columns
        try:
            fast(lists, self._rows)
        except struct.error:
            slow(lists, self._rows)
        return count


def equally_long(columns: Any) -> Columns:
    """Return the columns in the features' order, one that was left out as Nones. Raises ValueError."""
    lists = msgspec.structs.astuple(columns)
    lengths = {len(values) for values in lists if values is not None}
    if len(lengths) != 1:
        raise ValueError("columns of different lengths, or none at all")
    blanks = [None] * lengths.pop()
    return [blanks if values is None else values for values in lists]


def request_type(features: Sequence[Feature], *, ordinary: bool) -> type[msgspec.Struct]:
    """Build the type of a request: all that is lawful, or only what needs no second look.

    Fields are numbered inside, so any feature name will do.
    """
    types = [value_type(feature, ordinary=ordinary) for feature in features]
    record = _struct("Record", features, [_field(*pair) for pair in zip(features, types, strict=True)])
    lists = [list[kind] for kind in types]  # type: ignore[valid-type]
    optional = [
        kind if feature.required else (kind | None, None)
        for feature, kind in zip(features, lists, strict=True)
    ]
    columns = _struct(
        "Columns", features, [kind if isinstance(kind, tuple) else (kind,) for kind in optional]
    )
    members: list[Any] = [
        ("records", list[record] | msgspec.UnsetType, UNSET),  # type: ignore[valid-type]
        ("columns", columns | msgspec.UnsetType, UNSET),
    ]
    return msgspec.defstruct("Request", members, forbid_unknown_fields=True)


def _struct(
    name: str, features: Sequence[Feature], fields: Sequence[tuple[Any, ...]]
) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        [(f"f{index}", *field) for index, field in enumerate(fields)],
        rename={f"f{index}": feature.name for index, feature in enumerate(features)},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def _field(feature: Feature, kind: Any) -> tuple[Any, ...]:
    if feature.required:
        return (kind,)
    return kind, math.nan if feature.kind == "number" else None


def value_type(feature: Feature, *, ordinary: bool) -> Any:
    """Build the type of one feature's value: what is lawful, or only what needs no second look."""
    if feature.kind == "category":
        known = tuple(text for text in slots_of(feature) if text or not feature.required)
        if ordinary and feature.used and known:
            # The decoder answers a literal with one and the same text, whose hash is known by then.
            return Literal[known]
        return Annotated[str, msgspec.Meta(min_length=1)] if feature.required else str | None
    low, high = bounds(feature) if ordinary else (-LARGEST, LARGEST)
    number = Annotated[float, msgspec.Meta(ge=low, le=high)]
    return number if feature.required else number | None
