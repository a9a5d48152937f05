"""The graph says what the torch model says, for whatever a caller or a data set may bring."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from contract.schema import Record, Training
from tests.training.parcels import Run
from training.package import fold
from training.package.evaluate import Reader, score_all, torch_score
from training.package.export import export, to_onnx
from training.package.graphs import Graphs
from training.package.scoring import Scorer, inputs_of_encoding
from training.train.artefact import Trained
from training.train.data import Examples
from training.train.encoding import Category, Encoding, Number
from training.train.model import Tabular

pytestmark = pytest.mark.torch

SIZE = Number(name="size", median=3.0, mean=2.0, std=2.0, gaps=True, knots=(0.0, 2.0, 6.0))
AGE = Number(name="age", median=10.0, mean=12.0, std=4.0, gaps=False)
COLOUR = Category(name="colour", values=("red", "blue"))
TOWN = Category(name="town", values=("blue", "1=red", "Łódź"))


def trained(encoding: Encoding, seed: int = 1, hidden: tuple[int, ...] = (8,)) -> Trained:
    """A model of random weights: untrained ones would answer the prior to everything."""
    torch.manual_seed(seed)
    training = Training(hidden=hidden, embedding=3)
    model = Tabular(encoding, training, prior=0.3)
    torch.nn.init.normal_(model.output.weight)
    return Trained(
        workload="things",
        run="r1",
        contract_sha256="",
        encoding=encoding,
        training=training,
        prior=0.3,
        weights=model.state_dict(),
        facts={},
    )


@dataclass(frozen=True)
class Exported:
    """A model's graphs as callers use them."""

    model: Trained
    graphs: Graphs

    def answers(self, records: list[Record], use: str = "batch") -> NDArray[np.float32]:
        graph = self.graphs.files[self.graphs.names[use]]
        return Scorer(graph)(inputs_of_encoding(self.model.encoding).of_records(records))


@pytest.fixture(scope="module")
def model() -> Trained:
    return trained(Encoding(numbers=(SIZE, AGE), categories=(COLOUR, TOWN)))


@pytest.fixture(scope="module")
def exported(model: Trained) -> Exported:
    return Exported(model, export(model.model()))


def expected(model: Trained, record: Record) -> float:
    """What the torch model says of ``record``, its slots looked up by hand."""
    numbers = [[math.nan if record.get(n.name) is None else record[n.name] for n in model.encoding.numbers]]
    slots = [[c.slots.get(record.get(c.name), 0) for c in model.encoding.categories]]  # type: ignore[arg-type]
    with torch.inference_mode():
        odds = model.model()(torch.tensor(numbers, dtype=torch.float32), torch.tensor(slots))
    return float(torch.sigmoid(odds))


@pytest.mark.parametrize("use", ["batch", "single"])
@pytest.mark.parametrize(
    "record",
    [
        {"size": 1.0, "age": 9, "colour": "red", "town": "blue"},
        {"size": -1e30, "age": 1e30, "colour": "blue", "town": "Łódź"},
        {"size": None, "age": 3.5, "colour": "red", "town": "1=red"},
        {"age": None, "colour": "mauve", "town": "red"},
        {"size": 1.0, "colour": None, "town": ""},
        {},
    ],
)
def test_a_graph_answers_as_the_model_does(exported: Exported, record: Record, use: str) -> None:
    assert exported.answers([record], use)[0] == pytest.approx(expected(exported.model, record), abs=1e-6)


def test_an_unseen_category_counts_as_a_missing_one(exported: Exported) -> None:
    unseen, missing, known = exported.answers(
        [{"size": 1.0, "colour": colour, "town": "blue"} for colour in ("mauve", None, "red")]
    )
    assert unseen == missing != known


def test_records_of_a_batch_do_not_touch_each_other(exported: Exported) -> None:
    records: list[Record] = [{"size": float(i), "colour": "red" if i % 2 else "blue"} for i in range(50)]
    alone = [exported.answers([record], "single")[0] for record in records]
    np.testing.assert_allclose(exported.answers(records), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "hidden"),
    [
        (Encoding(numbers=(SIZE, AGE), categories=()), (8,)),
        (Encoding(numbers=(), categories=(COLOUR, TOWN)), (8,)),
        (Encoding(numbers=(AGE,), categories=(COLOUR,)), ()),
    ],
    ids=["numbers only", "categories only", "no hidden layer"],
)
def test_a_model_may_lack_a_part(encoding: Encoding, hidden: tuple[int, ...]) -> None:
    model = trained(encoding, hidden=hidden)
    found = Exported(model, export(model.model()))
    record: Record = {"size": 5.0, "age": 11.0, "colour": "red"}
    for use in ("batch", "single"):
        assert found.answers([record], use)[0] == pytest.approx(expected(model, record), abs=1e-6)


def test_numbers_far_from_zero_lose_no_digits_in_the_graph_for_single_records() -> None:
    # Given years: their spread is nothing beside their size
    year = Number(name="year", median=2013.0, mean=2013.4, std=0.5, gaps=True, knots=(2012.0, 2013.0, 2014.0))
    model = trained(Encoding(numbers=(year, AGE), categories=(COLOUR,)))
    found = Exported(model, export(model.model()))
    # Then the folded graph answers as the model does, gaps included
    for given in (2011.0, 2012.6, 2013.0, 2014.5, None):
        record: Record = {"year": given, "age": 11.0, "colour": "red"}
        assert found.answers([record], "single")[0] == pytest.approx(expected(model, record), abs=1e-6)


def test_many_slots_are_looked_up_instead_of_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a model with more slots than steps are worth
    monkeypatch.setattr(fold, "MOST_STEPS", 3)
    model = trained(Encoding(numbers=(SIZE,), categories=(COLOUR, TOWN)), hidden=(8, 8))
    # When its graph for single records is made
    single = to_onnx(fold.Folded(model.model()), 3)
    # Then it looks slots up, and answers the same
    assert "Gather" in {node.op_type for node in onnx.load_from_string(single).graph.node[-10:]}
    records: list[Record] = [{"size": 5.0, "colour": "blue", "town": "Łódź"}, {"town": "blue"}]
    answers = Scorer(single)(inputs_of_encoding(model.encoding).of_records(records))
    np.testing.assert_allclose(answers, [expected(model, record) for record in records], atol=1e-6)


def test_the_graphs_take_one_matrix_and_give_one_column(exported: Exported) -> None:
    for content in exported.graphs.files.values():
        graph = onnx.load_from_string(content).graph
        (rows,), (probability,) = graph.input, graph.output
        assert (rows.name, rows.type.tensor_type.elem_type) == ("rows", onnx.TensorProto.FLOAT)
        assert rows.type.tensor_type.shape.dim[1].dim_value == 4
        assert (probability.name, len(probability.type.tensor_type.shape.dim)) == ("probability", 1)


def test_exporting_again_gives_the_same_bytes_and_prints_nothing(
    exported: Exported, capfd: pytest.CaptureFixture[str]
) -> None:
    assert exported.graphs == export(exported.model.model())
    assert capfd.readouterr() == ("", "")


def test_the_graphs_tell_nothing_of_the_machine(exported: Exported) -> None:
    for content in exported.graphs.files.values():
        assert str(Path.cwd()).encode() not in content
        loaded = onnx.load_from_string(content)
        assert (loaded.ir_version, loaded.opset_import[0].version) == (10, 20)


def test_parity_notices_a_graph_that_is_not_the_models(run: Run) -> None:
    # Given a graph, and a model whose weights are slightly others
    distance = Number(name="distance", median=1000, mean=1000, std=500, gaps=False)
    model = trained(Encoding(numbers=(distance,), categories=(Category(name="depot", values=("north",)),)))
    shifted = {name: value + (1e-3 if name == "output.bias" else 0) for name, value in model.weights.items()}
    # When both are compared with the graph on all test rows
    inputs = inputs_of_encoding(model.encoding)
    readers = {
        "graph": Reader(inputs, Scorer(export(model.model()).batch)),
        "same": Reader(inputs, torch_score(model.model())),
        "other": Reader(inputs, torch_score(replace(model, weights=shifted).model())),
    }
    scored = score_all(Examples(run.examples, "test"), readers)
    same, other = scored.parity("graph", "same"), scored.parity("graph", "other")
    # Then
    assert same.rows == other.rows == 1500
    assert same.max_abs_difference < 1e-6
    assert 1e-5 < other.max_abs_difference < 1e-3
