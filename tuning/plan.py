"""What is to be started: read from the JSON that the command line sends, with every name it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where a hyperparameter is looked for: in ``values``, or from ``low`` to ``high`` along ``scale``."""

    name: str
    values: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    whole: bool = False
    scale: str = "Linear"
    """SageMaker's word: Linear or Logarithmic."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over hyperparameters: what decides, how many trials, and how many at a time."""

    metric: str
    direction: str
    """SageMaker's word: Maximize or Minimize."""
    trials: int
    parallel: int
    seed: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One experiment, or one search where ``search`` is given."""

    name: str
    """Name of the training job or the tuning job."""
    definition: str
    """The deployed state machine's, in Amazon States Language."""
    run: str
    """The run of the pipeline whose examples are trained on."""
    bucket: str
    prefix: str
    """Everything is written under ``s3://<bucket>/<prefix>``."""
    region: str
    hyperparameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    search: Search | None = None

    @property
    def folder(self) -> str:
        """Where everything is written, as an address without a trailing slash."""
        return f"s3://{self.bucket}/{self.prefix}"


def read(document: Mapping[str, Any]) -> Plan:
    """Build a plan from its JSON. Raises TypeError or KeyError for a document of another version."""
    search = document.get("search")
    return Plan(**{**document, "search": None if search is None else _search(search)})


def _search(document: Mapping[str, Any]) -> Search:
    ranges = tuple(Range(**{**each, "values": tuple(each.get("values", ()))}) for each in document["ranges"])
    return Search(**{**document, "ranges": ranges})
