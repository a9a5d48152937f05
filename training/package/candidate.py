"""A candidate of the contest: graphs, and the model that they must agree with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.package.graphs import Graphs

Score = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Probabilities [N] of rows [N, n + c]."""


class UnavailableError(RuntimeError):
    """A candidate that cannot be made here: why, and what to do. The contest goes on without it."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """``reference`` is the model itself, outside ONNX; a ``quantised`` graph may differ more from it."""

    name: str
    made: str
    """How, in a sentence for the card."""
    graphs: Graphs
    reference: Score
    quantised: bool = False
