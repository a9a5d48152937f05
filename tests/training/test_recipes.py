"""What recipes do to a model, seen from its answers and its shape."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from contract.schema import Optimise
from tests.training.parcels import Run
from tests.training.test_export import AGE, SIZE, trained
from training.package.recipes.distilled import fewer_bends
from training.package.recipes.pruned import chosen, importance, narrowed
from training.package.workbench import Workbench
from training.train.artefact import Trained
from training.train.data import Examples, Rows
from training.train.encoding import Category, Encoding, Number

pytestmark = pytest.mark.torch

DISTANCE = Number(
    name="distance", median=1000, mean=1000, std=500, gaps=False, knots=(0, 500, 1000, 1500, 2000)
)
PARCELS = Encoding(numbers=(DISTANCE,), categories=(Category(name="depot", values=("north", "south")),))


def with_dead_units(model: Trained, dead: list[int]) -> Trained:
    """The model with hidden units that nothing follows from, in all of its equally wide layers."""
    weights = dict(model.weights)
    for name in ("hidden.0.weight", "hidden.0.bias", "hidden.3.0.weight", "hidden.3.0.bias"):
        weights[name] = weights[name].clone()
        weights[name][dead] = 0
    return replace(model, weights=weights)


def some_rows(rows: int) -> Rows:
    generator = torch.Generator().manual_seed(3)
    numbers = torch.rand(rows, 1, generator=generator) * 2000
    slots = torch.randint(0, 3, (rows, 1), generator=generator)
    return Rows(numbers, slots, (numbers[:, 0] > 900).float())


def test_dead_units_are_pruned_first_and_the_answers_stay(run: Run) -> None:
    # Given a residual model of eight units of which four do nothing
    model = with_dead_units(trained(PARCELS, hidden=(8, 8)), dead=[0, 3, 5, 6])
    rows = some_rows(200)
    # When half of its units are pruned
    kept = chosen(importance(model.model(), rows), share=0.5)
    small = narrowed(Workbench(model, Examples(run.examples, "train"), Optimise()), kept).eval()
    # Then the others remain, the matrices are narrower, and every answer is what it was
    assert [units.tolist() for units in kept] == [[1, 2, 4, 7]] * 2
    assert [layer.out_features for layer in small.modules() if isinstance(layer, torch.nn.Linear)] == [
        4,
        4,
        1,
    ]
    with torch.inference_mode():
        torch.testing.assert_close(
            small(rows.numbers, rows.categories), model.model()(rows.numbers, rows.categories)
        )


def test_layers_of_other_widths_stay_apart() -> None:
    """Equal widths would join them by a residual sum that was not there."""
    widths = [len(units) for units in chosen([torch.rand(16), torch.rand(6)], share=0.75)]
    assert widths == [4, 3]


@pytest.mark.parametrize(
    ("bends", "knots"), [(4, (0, 500, 1000, 1500, 2000)), (2, (0, 1000, 2000)), (1, (0, 2000))]
)
def test_a_student_bends_less_but_as_far(bends: int, knots: tuple[float, ...]) -> None:
    thinned = fewer_bends(PARCELS, bends).numbers[0]
    assert thinned == replace(DISTANCE, knots=knots)


def test_numbers_without_knots_stay_straight() -> None:
    encoding = Encoding(numbers=(AGE, SIZE), categories=())
    assert fewer_bends(encoding, 4) == encoding


def test_training_rows_are_spread_over_the_split_where_there_are_too_many(run: Run) -> None:
    # Given settings that allow a tenth of the training rows
    train = Examples(run.examples, "train")
    every = Workbench(trained(PARCELS), train, Optimise(rows=len(train)))
    few = Workbench(trained(PARCELS), train, Optimise(rows=len(train) // 10))
    # Then every tenth row is what recipes see, whatever the files' borders
    np.testing.assert_array_equal(few.matrix, every.matrix[::10])
    np.testing.assert_array_equal(few.labels, every.labels[::10])


def test_rows_without_a_label_are_learnt_as_the_teacher_sees_them(run: Run, tmp_path: Path) -> None:
    # Given some of the validation split's rows, their labels taken away
    validate = next((run.examples / "split=validate").glob("*.parquet"))
    table = pq.read_table(validate).drop_columns(["label"]).slice(0, 50)
    pq.write_table(table, tmp_path / "part.parquet")
    train = Examples(run.examples, "train")
    bench = Workbench(trained(PARCELS), train, Optimise(rows=len(train)), Examples(tmp_path))

    rows, odds = bench.lessons

    # Then they follow the training rows, and what the teacher thinks stands for the label
    assert len(rows) == len(odds) == len(train) + 50
    torch.testing.assert_close(rows.labels[: len(train)], bench.rows.labels)
    torch.testing.assert_close(rows.labels[len(train) :], torch.sigmoid(odds[len(train) :]))
    assert not torch.isnan(odds).any()
    # And of them, too, there are no more than the settings allow
    few = Workbench(trained(PARCELS), train, Optimise(rows=10), Examples(tmp_path))
    assert (len(few.rows), len(few.lessons[0])) == (10, 20)
