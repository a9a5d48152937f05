"""What is wrong with a body that did not decode: read again, slowly, to name every record and field.

The typed decoder stops at the first flaw; a caller is better served with all of them. Both hold to the
same rules: a body is refused by one exactly where the other finds a flaw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from .bundle import Feature
from .problem import Flaw, Problem

LARGEST = 1e30
"""Largest magnitude of a number. It leaves a float32 graph (up to 3.4e38) room for its sums."""

MOST_FLAWS = 20
SHAPE = 'The body must be {"records": [{…}, …]}.'
KINDS = {str: "text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}


def explain(body: bytes, features: Sequence[Feature], refused: Exception) -> Problem:
    """Return the problem with ``body``, which the typed decoder has refused."""
    try:
        document = json.loads(body.decode())
    except UnicodeDecodeError as error:
        return Problem(400, f"The body is not UTF-8 text: byte {error.start} is at fault.")
    except json.JSONDecodeError as error:
        return Problem(400, f"The body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}.")
    except (ValueError, RecursionError):
        return Problem(400, "The body is not JSON that can be read: a number too long, or nested too deep.")
    flaws = tuple(islice(flaws_of(document, {feature.name: feature for feature in features}), MOST_FLAWS))
    if not flaws:
        # json keeps the last of a key's values, the typed decoder refuses the first flawed one.
        why = f"Does a key stand twice in one object? ({type(refused).__name__})"
        return Problem(400, f"The body cannot be read. {why} {SHAPE}")
    return Problem(400, f"Nothing was predicted: {_count(flaws)} to mend, see `errors`.", flaws)


def _count(flaws: tuple[Flaw, ...]) -> str:
    many = "at least " if len(flaws) == MOST_FLAWS else ""
    return f"{many}{len(flaws)} flaw{'s' if len(flaws) > 1 else ''}"


def flaws_of(document: Any, features: dict[str, Feature]) -> Iterator[Flaw]:
    """Yield every flaw of a decoded request."""
    if not isinstance(document, dict):
        yield Flaw(f"is {kind_of(document)}, not an object. {SHAPE}")
        return
    for name in document.keys() - {"records"}:
        yield Flaw(f"is not a member of a request. {SHAPE}", field=printable(name))
    records = document.get("records")
    if isinstance(records, list):
        for index, record in enumerate(records):
            yield from _record_flaws(index, record, features)
    else:
        found = f"is {kind_of(records)}, not a list" if "records" in document else "is missing"
        yield Flaw(f"{found}. {SHAPE}", field="records")


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
