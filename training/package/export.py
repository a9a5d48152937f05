"""From a torch model to ONNX graphs that take rows of numbers.

A graph has one input, ``rows`` [N, n + c] float32: n numbers, NaN where missing, then c categories as
slots, 0 where missing or unknown. Its one output is ``probability`` [N] float32. Texts stay outside: who
calls a graph looks their slots up.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from training.package.fold import Folded
from training.package.graphs import Graphs
from training.train.model import Tabular

OPSET = 20
IR_VERSION = 10  # what onnxruntime 1.18 and later read
ROWS, PROBABILITY = "rows", "probability"


def export(model: Tabular) -> Graphs:
    """Return the two graphs of ``model``; the same model gives the same bytes."""
    width = model.columns
    return Graphs(batch=to_onnx(Unfolded(model), width), single=to_onnx(Folded(model), width))


class Unfolded(nn.Module):
    """Log-odds [N] from ``rows`` [N, n + c], by the model as it was trained."""

    def __init__(self, model: Tabular) -> None:
        super().__init__()
        self._model = model
        self._numbers = 0 if model.numbers is None else len(model.numbers.median)

    def forward(self, rows: Tensor) -> Tensor:
        """Part the rows and ask the model."""
        odds: Tensor = self._model(rows[:, : self._numbers], rows[:, self._numbers :].to(torch.int64))
        return odds


def to_onnx(odds: nn.Module, width: int) -> bytes:
    """Return the serialised graph of a module that makes log-odds [N] of rows [N, ``width``]."""
    batch = torch.export.Dim("batch", min=1)
    with _quiet():
        program = torch.onnx.export(
            nn.Sequential(odds, nn.Sigmoid()).eval(),
            (torch.zeros(2, width),),
            dynamo=True,
            input_names=[ROWS],
            output_names=[PROBABILITY],
            dynamic_shapes=({0: batch},),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing; is onnxscript installed?")
    return serialised(program.model_proto)


def serialised(model: onnx.ModelProto) -> bytes:
    """Return ``model`` checked and without what tools note of themselves: equal graphs, equal bytes."""
    _without_history(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets))
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "millrace", ""
    model.graph.name = "model"
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _without_history(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of its own run: stack traces with this machine's paths."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for entry in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del entry.metadata_props[:]
        entry.doc_string = ""
    del model.graph.value_info[:]


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
