"""Writes the few kinds of TOML that these tests need; the standard library only reads it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any


def write_toml(document: dict[str, Any]) -> str:
    """``document`` as TOML, one inline value per top-level key."""
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in document.items())


def _key(name: str) -> str:
    return _text(name)


def _text(text: str) -> str:
    # TOML wants U+007F escaped and knows no surrogate pairs: every other escape of JSON is its own.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    return _text(value) if isinstance(value, str) else repr(value)
