"""A recipe makes candidates of the teacher.

To add one: a file here, a name in the contract's schema, a line below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from contract.schema import CandidateName
from training.package.candidate import Candidate
from training.package.recipes import distilled, int8, pruned, teacher, trees
from training.package.workbench import Workbench

Recipe = Callable[[Workbench], Iterable[Candidate]]

RECIPES: Mapping[CandidateName, Recipe] = {
    "teacher": teacher.make,
    "distilled": distilled.make,
    "pruned": pruned.make,
    "int8-dynamic": int8.dynamic,
    "int8-static": int8.static,
    "trees": trees.make,
}
