"""From the torch model to one ONNX graph that takes raw values.

The graph's inputs are ``numbers`` [N, n] float32, NaN where missing, and ``categories`` [N, c] string,
"" where missing; its output is ``probability`` [N] float32. A model without one kind of feature has no
such input.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper
from torch import Tensor, nn

from training.train.artefact import Trained
from training.train.encoding import Category
from training.train.model import Tabular

OPSET = 20
IR_VERSION = 10  # what onnxruntime 1.18 and later read
NUMBERS, CATEGORIES, PROBABILITY = "numbers", "categories", "probability"
_SLOTS = "slots"
_LABEL_ENCODER_OPSET = 4


def export(trained: Trained) -> bytes:
    """Return the serialised graph of ``trained``; the same model gives the same bytes."""
    graph = _without_history(_exported(trained))
    if trained.encoding.categories:
        graph = compose.merge_models(_front(trained.encoding.categories), graph, io_map=[(_SLOTS, _SLOTS)])
    _name(graph)
    onnx.checker.check_model(graph, full_check=True)
    serialised: bytes = graph.SerializeToString(deterministic=True)
    return serialised


class _Probability(nn.Module):
    """The model's probability from one tensor per kind of feature that it has."""

    def __init__(self, model: Tabular) -> None:
        super().__init__()
        self._model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        given = iter(inputs)
        numbers = next(given) if self._model.numbers is not None else None
        slots = next(given) if self._model.categories is not None else None
        return torch.sigmoid(self._model(numbers, slots))


def _exported(trained: Trained) -> onnx.ModelProto:
    """Export the model behind its category slots: inputs ``numbers`` and ``slots``."""
    inputs = {}
    if trained.encoding.numbers:
        inputs[NUMBERS] = torch.zeros(2, len(trained.encoding.numbers))
    if trained.encoding.categories:
        inputs[_SLOTS] = torch.zeros(2, len(trained.encoding.categories), dtype=torch.int64)
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        program = torch.onnx.export(
            _Probability(trained.model()).eval(),
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=[PROBABILITY],
            dynamic_shapes=(tuple({0: batch} for _ in inputs),),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing; is onnxscript installed?")
    return program.model_proto


def _front(categories: tuple[Category, ...]) -> onnx.ModelProto:
    """Build the graph from strings to slots: one look-up for all columns, told apart by a prefix."""
    keys = [f"{column}={value}" for column, category in enumerate(categories) for value in category.values]
    slots = [slot for category in categories for slot in category.slots.values()]
    count = len(categories)
    prefixes = np.array([[f"{column}=" for column in range(count)]], dtype=object)
    nodes = [
        helper.make_node("StringConcat", ["prefix", CATEGORIES], ["front_key"]),
        helper.make_node(
            "LabelEncoder",
            ["front_key"],
            [_SLOTS],
            domain="ai.onnx.ml",
            keys_strings=keys,
            values_int64s=slots,
            default_int64=0,
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "categories to slots",
        [helper.make_tensor_value_info(CATEGORIES, TensorProto.STRING, ["batch", count])],
        [helper.make_tensor_value_info(_SLOTS, TensorProto.INT64, ["batch", count])],
        [numpy_helper.from_array(prefixes, "prefix")],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", _LABEL_ENCODER_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _name(model: onnx.ModelProto) -> None:
    """Say once what merging says twice, and nothing of the tools' versions."""
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in opsets.items())
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "millrace", ""
    model.graph.name = "model"


def _without_history(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter notes of its own run: stack traces with this machine's paths."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for entry in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del entry.metadata_props[:]
        entry.doc_string = ""
    del model.graph.value_info[:]
    model.ir_version = IR_VERSION
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own progress and deprecation notices out of the job's log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
