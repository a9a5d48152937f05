"""The graph says what the torch model says, for whatever a caller or a data set may bring."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from contract.schema import Record, Training
from tests.training.parcels import Run
from training.package.evaluate import compare
from training.package.export import export
from training.package.scoring import Inputs, Scorer
from training.train.artefact import Trained
from training.train.data import Examples
from training.train.encoding import Category, Encoding, Number
from training.train.model import Tabular

pytestmark = pytest.mark.torch

SIZE = Number(name="size", median=3.0, mean=2.0, std=2.0, gaps=True, knots=(0.0, 2.0, 6.0))
AGE = Number(name="age", median=10.0, mean=12.0, std=4.0, gaps=False)
COLOUR = Category(name="colour", values=("red", "blue"))
TOWN = Category(name="town", values=("blue", "1=red", "Łódź"))


def trained(encoding: Encoding, seed: int = 1) -> Trained:
    """A model of random weights: untrained ones would answer the prior to everything."""
    torch.manual_seed(seed)
    training = Training(hidden=(8,), embedding=3)
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


def scorer_of(model: Trained, graph: bytes) -> Scorer:
    inputs = Inputs(numbers=model.encoding.number_names, categories=model.encoding.category_names)
    return Scorer(graph, inputs)


@pytest.fixture(scope="module")
def model() -> Trained:
    return trained(Encoding(numbers=(SIZE, AGE), categories=(COLOUR, TOWN)))


@pytest.fixture(scope="module")
def graph(model: Trained) -> bytes:
    return export(model)


@pytest.fixture(scope="module")
def scorer(model: Trained, graph: bytes) -> Scorer:
    return scorer_of(model, graph)


def expected(model: Trained, record: Record) -> float:
    """What the torch model says of ``record``, its slots looked up by hand."""
    numbers = [[math.nan if record.get(n.name) is None else record[n.name] for n in model.encoding.numbers]]
    slots = [[c.slots.get(record.get(c.name), 0) for c in model.encoding.categories]]  # type: ignore[arg-type]
    with torch.inference_mode():
        odds = model.model()(torch.tensor(numbers, dtype=torch.float32), torch.tensor(slots))
    return float(torch.sigmoid(odds))


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
def test_the_graph_answers_as_the_model_does(model: Trained, scorer: Scorer, record: Record) -> None:
    assert scorer.records([record])[0] == pytest.approx(expected(model, record), abs=1e-6)


def test_an_unseen_category_counts_as_a_missing_one(scorer: Scorer) -> None:
    unseen, missing, known = scorer.records(
        [{"size": 1.0, "colour": colour, "town": "blue"} for colour in ("mauve", None, "red")]
    )
    assert unseen == missing != known


def test_records_of_a_batch_do_not_touch_each_other(scorer: Scorer) -> None:
    records: list[Record] = [{"size": float(i), "colour": "red" if i % 2 else "blue"} for i in range(50)]
    alone = [scorer.records([record])[0] for record in records]
    np.testing.assert_allclose(scorer.records(records), alone, atol=1e-6)


@pytest.mark.parametrize(
    ("encoding", "inputs"),
    [
        (Encoding(numbers=(SIZE, AGE), categories=()), ["numbers"]),
        (Encoding(numbers=(), categories=(COLOUR, TOWN)), ["categories"]),
    ],
    ids=["numbers only", "categories only"],
)
def test_a_kind_of_feature_that_is_not_there_is_no_input(encoding: Encoding, inputs: list[str]) -> None:
    model = trained(encoding)
    graph = export(model)
    assert [entry.name for entry in onnx.load_from_string(graph).graph.input] == inputs
    record: Record = {"size": 5.0, "colour": "red"}
    assert scorer_of(model, graph).records([record])[0] == pytest.approx(expected(model, record), abs=1e-6)


def test_exporting_again_gives_the_same_bytes_and_prints_nothing(
    model: Trained, graph: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert graph == export(model)
    assert capfd.readouterr() == ("", "")


def test_the_graph_tells_nothing_of_the_machine(graph: bytes) -> None:
    assert str(Path.cwd()).encode() not in graph
    loaded = onnx.load_from_string(graph)
    assert (loaded.ir_version, {entry.domain: entry.version for entry in loaded.opset_import}) == (
        10,
        {"": 20, "ai.onnx.ml": 4},
    )


def test_parity_notices_a_graph_that_is_not_the_models(run: Run) -> None:
    # Given a graph, and a model whose weights are slightly others
    distance = Number(name="distance", median=1000, mean=1000, std=500, gaps=False)
    model = trained(Encoding(numbers=(distance,), categories=(Category(name="depot", values=("north",)),)))
    shifted = {name: value + (1e-3 if name == "output.bias" else 0) for name, value in model.weights.items()}
    test = Examples(run.examples, "test")
    # When both are compared with the graph on all test rows
    scorer = scorer_of(model, export(model))
    same = compare(model, scorer, test)
    other = compare(replace(model, weights=shifted), scorer, test)
    # Then
    assert same.rows == other.rows == 1500
    assert same.max_abs_difference < 1e-6
    assert 1e-5 < other.max_abs_difference < 1e-3
