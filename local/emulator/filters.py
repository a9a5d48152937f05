"""Metric filters: log lines that match a pattern count in a metric. MiniStack stores them and stops there.

Of CloudWatch's patterns the kind for JSON is understood: ``{ ($.status = "5*") && ($.status != "503") }``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

Document = dict[str, Any]
Matcher = Callable[[Document], bool]

_TOKEN = re.compile(r'\s*(\(|\)|&&|\|\||[!<>]?=|[<>]|\$\.[\w.]+|"[^"]*"|[\w.*-]+)')
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matcher(pattern: str) -> Matcher:
    """A function that tells whether a JSON log line matches ``pattern``.

    Raises ValueError for a pattern of another kind.
    """
    inside = re.fullmatch(r"\s*\{(.*)\}\s*", pattern, re.DOTALL)
    tokens = _tokens(inside[1]) if inside else []
    found, rest = _either(tokens) if tokens else (None, tokens)
    if found is None or rest:
        raise ValueError(
            f"the local environment cannot read the filter pattern {pattern!r}: write {{ $.a = 1 }}"
        )
    return found


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            return []
        found.append(match[1])
        place = match.end()
    return found


def _either(tokens: list[str]) -> tuple[Matcher | None, list[str]]:
    return _joined(tokens, "||", _both, any)


def _both(tokens: list[str]) -> tuple[Matcher | None, list[str]]:
    return _joined(tokens, "&&", _one, all)


def _joined(
    tokens: list[str],
    word: str,
    part: Callable[[list[str]], tuple[Matcher | None, list[str]]],
    decide: Callable[[Iterator[bool]], bool],
) -> tuple[Matcher | None, list[str]]:
    found, rest = part(tokens)
    parts = [found]
    while rest and rest[0] == word:
        found, rest = part(rest[1:])
        parts.append(found)
    known = [each for each in parts if each is not None]
    if len(known) < len(parts):
        return None, rest
    return (lambda document: decide(each(document) for each in known)), rest


def _one(tokens: list[str]) -> tuple[Matcher | None, list[str]]:
    if tokens[:1] == ["("]:
        found, rest = _either(tokens[1:])
        return (found, rest[1:]) if rest[:1] == [")"] else (None, rest)
    if len(tokens) < 3 or not tokens[0].startswith("$."):
        return None, tokens
    selector, sign, value = tokens[0][2:].split("."), tokens[1], tokens[2]
    return (lambda document: _holds(_at(document, selector), sign, value)), tokens[3:]


def _at(document: Any, path: list[str]) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _holds(found: Any, sign: str, value: str) -> bool:
    """A member that is not there matches nothing, not even ``!=``."""
    if found is None:
        return False
    if sign in _ORDER:
        return isinstance(found, int | float) and _ORDER[sign](found, float(value))
    same = fnmatchcase(str(found), value.strip('"'))
    return same if sign == "=" else not same


def readings(
    transformation: dict[str, Any], document: Document
) -> tuple[str, str, float, str, dict[str, str]]:
    """What a matching line adds to a metric: namespace, metric, value, unit, dimensions.

    Raises ValueError where the line lacks the value or a dimension.
    """
    value = _resolved(transformation["metricValue"], document)
    dimensions = {
        name: str(_resolved(selector, document))
        for name, selector in transformation.get("dimensions", {}).items()
    }
    unit = transformation.get("unit", "None")
    return transformation["metricNamespace"], transformation["metricName"], float(value), unit, dimensions


def _resolved(text: str, document: Document) -> Any:
    if not text.startswith("$."):
        return text
    found = _at(document, text[2:].split("."))
    if found is None:
        raise ValueError(f"no {text} in the line")
    return found
