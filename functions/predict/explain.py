"""What is wrong with a body that did not decode: read again, slowly, to name every record and field.

The typed decoder stops at the first flaw; a caller is better served with all of them. Both hold to the
same rules: a body is refused by one exactly where the other finds a flaw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from .bundle import Feature
from .layout import LARGEST
from .problem import Flaw, Problem

MOST_FLAWS = 20
SHAPE = 'The body must be {"records": [{…}, …]} or {"columns": {"name": […], …}}.'
KINDS = {str: "text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}


def explain(body: bytes, features: Sequence[Feature], refused_by: Exception) -> Problem:
    """Return the problem with ``body``, which the typed decoder has refused."""
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        return Problem(400, f"The body is not UTF-8 text: byte {error.start} is at fault.")
    except json.JSONDecodeError as error:
        return Problem(400, f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.")
    except (ValueError, RecursionError):
        return Problem(400, "The body is not JSON that can be read: a number too long, or nested too deep.")
    flaws = tuple(islice(flaws_of(document, _by_name(features)), MOST_FLAWS))
    if flaws:
        return _flawed(flaws)
    if ragged := _ragged(document):
        return Problem(422, ragged)
    # json keeps the last of a key's values, the typed decoder refuses the first flawed one.
    why = f"Does a key stand twice in one object? ({type(refused_by).__name__})"
    return Problem(400, f"The body cannot be read. {why} {SHAPE}")


def refused(records: Iterable[Any], features: Sequence[Feature]) -> Problem | None:
    """Return the problem with ``records``, decoded from any form; None where there is none."""
    by_name = _by_name(features)
    flaws = (flaw for index, record in enumerate(records) for flaw in _record_flaws(index, record, by_name))
    first = tuple(islice(flaws, MOST_FLAWS))
    return _flawed(first) if first else None


def _by_name(features: Sequence[Feature]) -> dict[str, Feature]:
    return {feature.name: feature for feature in features}


def _flawed(flaws: tuple[Flaw, ...]) -> Problem:
    return Problem(400, f"Nothing was predicted: {_count(flaws)} to mend, see `errors`.", flaws)


def _count(flaws: tuple[Flaw, ...]) -> str:
    many = "at least " if len(flaws) == MOST_FLAWS else ""
    return f"{many}{len(flaws)} flaw{'s' if len(flaws) > 1 else ''}"


def flaws_of(document: Any, features: dict[str, Feature]) -> Iterator[Flaw]:
    """Yield every flaw of a decoded request."""
    if not isinstance(document, dict):
        yield Flaw(f"is {kind_of(document)}, not an object. {SHAPE}")
        return
    for name in document.keys() - {"records", "columns"}:
        yield Flaw(f"is not a member of a request. {SHAPE}", field=printable(name))
    if "columns" not in document:
        yield from _records_flaws(document, features)
    elif "records" in document:
        yield Flaw("stands beside `records`; send one of them", field="columns")
    else:
        yield from _columns_flaws(document["columns"], features)


def _records_flaws(document: dict[str, Any], features: dict[str, Feature]) -> Iterator[Flaw]:
    records = document.get("records")
    if isinstance(records, list):
        for index, record in enumerate(records):
            yield from _record_flaws(index, record, features)
    else:
        found = f"is {kind_of(records)}, not a list" if "records" in document else "is missing"
        yield Flaw(f"{found}. {SHAPE}", field="records")


def _columns_flaws(columns: Any, features: dict[str, Feature]) -> Iterator[Flaw]:
    if not isinstance(columns, dict):
        yield Flaw(f"is {kind_of(columns)}, not an object. {SHAPE}", field="columns")
        return
    for name in columns.keys() - features.keys():
        yield Flaw("is not a field of this model", field=printable(name))
    for name, feature in features.items():
        if name in columns:
            yield from _column_flaws(name, columns[name], feature)
        elif feature.required:
            yield Flaw(_absence_flaw(feature), field=name)


def _column_flaws(name: str, values: Any, feature: Feature) -> Iterator[Flaw]:
    if isinstance(values, list):
        problems = ((index, _value_flaw(value, feature)) for index, value in enumerate(values))
        yield from (Flaw(problem, record=index, field=name) for index, problem in problems if problem)
    elif values is not None or feature.required:
        yield Flaw(f"is {kind_of(values)}, not a list", field=name)


def _ragged(document: dict[str, Any]) -> str:
    """Say which columns have how many values, where they are not equally many."""
    columns = document.get("columns")
    lengths = {name: len(values) for name, values in (columns or {}).items() if values is not None}
    if columns is None or len({*lengths.values()}) == 1:
        return ""
    few = ", ".join(f"`{printable(name)}` {length}" for name, length in islice(lengths.items(), 5))
    return f"All columns must be equally long; here are {few or 'none'}."


def _record_flaws(index: int, record: Any, features: dict[str, Feature]) -> Iterator[Flaw]:
    if not isinstance(record, dict):
        yield Flaw(f"is {kind_of(record)}, not an object", record=index)
        return
    for name in record:
        if name not in features:
            yield Flaw("is not a field of this model", record=index, field=printable(name))
    for name, feature in features.items():
        problem = _value_flaw(record[name], feature) if name in record else _absence_flaw(feature)
        if problem:
            yield Flaw(problem, record=index, field=name)


def _absence_flaw(feature: Feature) -> str:
    return "is required, and missing" if feature.required else ""


def _value_flaw(value: Any, feature: Feature) -> str:
    if value is None:
        return "is required, and null" if feature.required else ""
    return _number_flaw(value) if feature.kind == "number" else _text_flaw(value, feature.required)


def _number_flaw(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {kind_of(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number; send null for an unknown value"
    return f"is beyond ±{LARGEST:g}" if abs(value) > LARGEST else ""


def _text_flaw(value: Any, required: bool) -> str:
    if not isinstance(value, str):
        return f"must be text, not {kind_of(value)}"
    if printable(value) != value:
        return "holds half a surrogate pair, which is not text"
    return "is required, and empty" if required and not value else ""


def kind_of(value: Any) -> str:
    """What a caller would call ``value``."""
    return KINDS.get(type(value), "a number")


def printable(text: str) -> str:
    """Return ``text`` as it can be encoded in an answer: half a surrogate pair becomes "?"."""
    return text.encode(errors="replace").decode()
