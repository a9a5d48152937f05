"""The graphs that one trained model may become, of which the best is released.

To prune, distil or quantise, add a recipe: every candidate is measured and judged alike.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.package.export import export
from training.package.graphs import Graphs
from training.train.artefact import Trained
from training.train.metrics import Metrics

_log = logging.getLogger(__name__)
Recipe = Callable[[Trained], Graphs]

RECIPES: Mapping[str, Recipe] = {"teacher": lambda trained: export(trained.model())}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Serialised graphs and the recipe that made them."""

    recipe: str
    graphs: Graphs


def candidates(trained: Trained, recipes: Mapping[str, Recipe] = RECIPES) -> Iterator[Candidate]:
    """Yield what each of ``recipes`` makes of ``trained``."""
    for name, recipe in recipes.items():
        _log.info("making the candidate %s", name)
        yield Candidate(recipe=name, graphs=recipe(trained))


def choose(measured: Sequence[tuple[Candidate, Metrics]]) -> Candidate:
    """Return the candidate with the lowest log loss on the validation split, the smallest among equals."""
    best, _ = min(measured, key=lambda pair: (round(pair[1].log_loss, 5), pair[0].graphs.bytes))
    return best
