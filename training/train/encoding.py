"""How raw feature values become the model's inputs: the facts about the training split it needs.

They are read from the preprocessing job's reports, so training never passes over the data to learn them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

_RARE = 5
"""A value of a category seen in fewer training rows than this shares slot 0 with what was never seen."""


class ReportError(ValueError):
    """A report of the preprocessing job lacks what training needs."""


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number's distribution in the training split, in the feature's own unit."""

    name: str
    median: float
    mean: float
    std: float
    gaps: bool
    """Whether the training split has nulls: only then does the model learn what a gap means."""
    knots: tuple[float, ...] = ()
    """Increasing quantiles between which the model may bend; fewer than two leave it linear."""


@dataclass(frozen=True, kw_only=True)
class Category:
    """A category's vocabulary, most frequent first. ``values[i]`` has slot i + 1; slot 0 is all else."""

    name: str
    values: tuple[str, ...]

    @property
    def slots(self) -> dict[str, int]:
        """Return the slot of every known value."""
        return {value: place + 1 for place, value in enumerate(self.values)}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The model's inputs in column order: ``numbers`` and ``categories`` are separate matrices."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]

    @property
    def number_names(self) -> tuple[str, ...]:
        """Columns of the model's input ``numbers``."""
        return tuple(number.name for number in self.numbers)

    @property
    def category_names(self) -> tuple[str, ...]:
        """Columns of the model's input ``categories``."""
        return tuple(category.name for category in self.categories)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Encoding:
        """Rebuild an encoding from what ``dataclasses.asdict`` and JSON made of it."""
        return cls(
            numbers=tuple(
                Number(**{**entry, "knots": tuple(entry["knots"])}) for entry in document["numbers"]
            ),
            categories=tuple(
                Category(name=entry["name"], values=tuple(entry["values"]))
                for entry in document["categories"]
            ),
        )


def read_encoding(reports: Path) -> Encoding:
    """Read ``features.json`` and ``profile.json`` of folder ``reports``. Raises ReportError."""
    kept = _document(reports / "features.json")["features"]
    profile = training_profile(reports)["features"]
    if not kept:
        raise ReportError(
            f"{reports / 'features.json'}: no feature was kept; nothing can be learnt from none"
        )
    absent = [feature["name"] for feature in kept if feature["name"] not in profile]
    if absent:
        raise ReportError(f"{reports / 'profile.json'}: no profile of {absent[0]}; run preprocessing again")
    return Encoding(
        numbers=tuple(_number(f["name"], profile[f["name"]]) for f in kept if f["kind"] == "number"),
        categories=tuple(_category(f["name"], profile[f["name"]]) for f in kept if f["kind"] == "category"),
    )


def training_profile(reports: Path) -> dict[str, Any]:
    """Return the training split's entry of ``profile.json``: rows, positives and features."""
    profile: dict[str, Any] = _document(reports / "profile.json")["splits"]["train"]
    return profile


def read_prior(reports: Path) -> float:
    """Return the share of positives in the training split, in (0, 1).

    Counted as if one more row of each class had been seen (Laplace's rule), so it is never 0 or 1.
    """
    profile = training_profile(reports)
    return float((profile["positives"] + 1) / (profile["rows"] + 2))


def _document(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ReportError(
            f"{file} is missing; the channel `reports` must hold the preprocessing job's reports"
        )
    document: dict[str, Any] = json.loads(file.read_text())
    return document


def _number(name: str, profile: Mapping[str, Any]) -> Number:
    quantiles = {float(share): value for share, value in profile["quantiles"].items() if value is not None}
    mean = profile.get("mean") or 0.0
    return Number(
        name=name,
        median=quantiles.get(0.5, mean),
        mean=mean,
        std=profile.get("std") or 1.0,  # a constant or empty column: any scale will do, zero will not
        gaps=profile["nulls"] > 0,
        knots=_increasing([quantiles[share] for share in sorted(quantiles)]),
    )


def _increasing(values: list[float]) -> tuple[float, ...]:
    return (*values[:1], *(later for earlier, later in pairwise(values) if later > earlier))


def _category(name: str, profile: Mapping[str, Any]) -> Category:
    # "" stands for a missing value, which is slot 0's business.
    values = (value for value, count in profile["values"].items() if count >= _RARE and value != "")
    return Category(name=name, values=tuple(values))
