"""From a parsed TOML document to the dataclasses of ``contract.schema``, by their type hints alone.

Nothing here knows what a key means; ``contract.checks`` does.
"""

from __future__ import annotations

import dataclasses
import math
import types
from datetime import date, datetime
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from contract.errors import listing, suggestion

NOT_IN_THE_DOCUMENT = frozenset({"features_sql", "sha256"})
NAMES: dict[Any, str] = {
    str: "a text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2013-01-31",
}


class StructureError(Exception):
    """A fault at ``key``, before it is known which file the document came from."""

    def __init__(self, key: str, problem: str, remedy: str) -> None:
        super().__init__(f"{key}: {problem}. {remedy}")
        self.key = key
        self.problem = problem
        self.remedy = remedy


def join(key: str, name: str) -> str:
    """The path of ``name`` under ``key``, as it would be written in TOML."""
    return f"{key}.{name}" if key else name


def build(hint: Any, value: object, key: str) -> Any:
    """``value`` as an instance of ``hint``.

    Raises StructureError with the exact path of what does not fit.
    """
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, key)
    if origin is dict:
        return _mapping(hint, value, key)
    if origin is tuple:
        return _array(hint, value, key)
    if origin is Literal:
        return _choice(get_args(hint), value, key)
    if origin in (types.UnionType, Union):
        return _either(get_args(hint), value, key)
    return _scalar(hint, value, key)


def _anything(value: object) -> object:
    """A value whose type depends on another key, as ``contract.checks`` knows; lists are frozen."""
    return tuple(map(_anything, value)) if isinstance(value, list) else value


def _record(hint: Any, value: object, key: str) -> Any:
    table = _table(value, key)
    hints = get_type_hints(hint)
    fields = {
        field.name: field for field in dataclasses.fields(hint) if field.name not in NOT_IN_THE_DOCUMENT
    }
    for name in table:
        if name not in fields:
            raise StructureError(join(key, name), "unknown key", suggestion(name, fields))
    for name, field in fields.items():
        if name not in table and _is_needed(field):
            raise StructureError(join(key, name), "missing", f"Add it: {_expected(hints[name])}.")
    return hint(**{name: build(hints[name], item, join(key, name)) for name, item in table.items()})


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _mapping(hint: Any, value: object, key: str) -> dict[str, Any]:
    name_hint, item_hint = get_args(hint)
    known = get_args(name_hint)
    table = _table(value, key)
    for name in table:
        if known and name not in known:
            raise StructureError(join(key, name), "unknown key", suggestion(name, known))
    return {name: build(item_hint, item, join(key, name)) for name, item in table.items()}


def _table(value: object, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StructureError(key, f"expected a table, found {_found(value)}", f"Write it as [{key}].")
    return value


def _array(hint: Any, value: object, key: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise StructureError(key, f"expected a list, found {_found(value)}", "Put it in [brackets].")
    item_hint = get_args(hint)[0]
    return tuple(build(item_hint, item, f"{key}[{index}]") for index, item in enumerate(value))


def _choice(choices: tuple[Any, ...], value: object, key: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        remedy = suggestion(value, choices) if isinstance(value, str) else f"One of {listing(choices)}."
        raise StructureError(key, f"{_found(value)} is not possible here", remedy)
    return value


def _either(hints: tuple[Any, ...], value: object, key: str) -> Any:
    possible = [hint for hint in hints if hint is not types.NoneType]
    # The narrow reading first: 1 stays an integer where both integer and number are allowed.
    for hint in sorted(possible, key=lambda hint: hint is float):
        if _fits(hint, value):
            return build(hint, value, key)
    return build(possible[0], value, key)


def _scalar(hint: Any, value: object, key: str) -> Any:
    if hint is object:
        return _anything(value)
    if not _fits(hint, value):
        raise StructureError(key, f"expected {_expected(hint)}, found {_found(value)}", "Correct the value.")
    if hint is float:
        return _finite(value, key)
    return _whole(value, key) if hint is int else value


def _fits(hint: Any, value: object) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if hint is date:
        return isinstance(value, date) and not isinstance(value, datetime)
    return isinstance(value, (int, float) if hint is float else hint)


def _finite(value: Any, key: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise StructureError(key, f"expected a finite number, found {_found(value)}", "Leave the key out.")
    return number


def _whole(value: Any, key: str) -> int:
    """TOML's own range; ``tomllib`` reads integers of any length."""
    if not -(2**63) <= value < 2**63:
        raise StructureError(key, f"{_found(value)} does not fit into 64 bits", "Correct the value.")
    return int(value)


def _expected(hint: Any) -> str:
    if dataclasses.is_dataclass(hint) or get_origin(hint) is dict:
        return "a table"
    if get_origin(hint) is tuple:
        return "a list"
    if get_origin(hint) is Literal:
        return f"one of {listing(get_args(hint))}"
    return NAMES.get(hint, str(hint))


def _found(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
