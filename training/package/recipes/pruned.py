"""The pruned teacher: its least important hidden units are gone, and the rest is built anew, narrower.

Units are dropped whole, so that matrices shrink and the speed is real. Layers joined by residual sums
share their units and lose the same ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from training.package.candidate import Candidate, UnavailableError
from training.package.evaluate import torch_score
from training.package.export import export
from training.package.learn import Plan, learn
from training.package.workbench import Workbench
from training.train.data import Rows
from training.train.model import Tabular

_log = logging.getLogger(__name__)
_LEAST = 4
"""Hidden units that any layer keeps."""
_JUDGED_ON = 16_384
"""Rows that tell important units from others."""
_PEAK = 1e-3  # tuning, not training anew


def make(bench: Workbench) -> Iterator[Candidate]:
    """Yield the teacher with the share of units in the settings taken away, tuned for half the epochs.

    Raises UnavailableError where the teacher has no hidden layer.
    """
    share, trained = bench.settings.prune, bench.trained
    if not trained.training.hidden:
        raise UnavailableError("the teacher has no hidden layer that could lose units")
    rows = bench.rows.take(slice(None, None, -(-len(bench.rows) // _JUDGED_ON)))
    kept = chosen(importance(trained.model(), rows), share)
    student = narrowed(bench, kept)
    plan = Plan(
        epochs=max(1, bench.settings.epochs // 2),
        peak=_PEAK,
        temperature=bench.settings.temperature,
        seed=trained.training.seed,
        batch_rows=trained.training.batch_rows,
    )
    learn(student, bench.rows, bench.odds, plan, "pruned")
    widths = " and ".join(str(len(units)) for units in kept)
    yield Candidate(
        name="pruned",
        made=f"the teacher's most important hidden units, {widths} of {_written(trained.training.hidden)}, "
        "tuned on the teacher's probabilities",
        graphs=export(student),
        reference=torch_score(student),
    )


def importance(model: Tabular, rows: Rows) -> list[Tensor]:
    """Return each hidden unit's importance, a tensor [width] for each layer.

    It is the mean over ``rows`` of |h · ∂loss/∂h|, a first-order estimate of what the loss would change if
    the unit h were gone. Source: Molchanov et al., "Importance Estimation for Neural Network Pruning",
    CVPR 2019, equation 8.
    """
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in model.units()]
    model.eval()
    binary_cross_entropy_with_logits(
        model(rows.numbers, rows.categories), rows.labels, reduction="sum"
    ).backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    gradients = [(output, output.grad) for output in outputs]
    return [
        (output * gradient).abs().mean(0).detach() for output, gradient in gradients if gradient is not None
    ]


def chosen(importances: Sequence[Tensor], share: float) -> list[Tensor]:
    """Return for each layer the units to keep, ascending; equally wide neighbours keep the same ones."""
    kept: list[Tensor] = []
    for width, group in groupby(importances, key=len):
        layers = list(group)
        count = max(min(_LEAST, width), round(width * (1 - share)))
        if kept and count == len(kept[-1]):
            count -= 1  # equal widths would make a residual layer of one that was none
        # Stable, so that units of equal importance do not change places between two runs.
        order = torch.argsort(torch.stack(layers).sum(0), descending=True, stable=True)
        kept += [order[:count].sort().values] * len(layers)
    return kept


def narrowed(bench: Workbench, kept: Sequence[Tensor]) -> Tabular:
    """Return the teacher without the units that are not ``kept``."""
    trained = bench.trained
    shape = replace(trained.training, hidden=tuple(len(units) for units in kept), dropout=0.0)
    student = Tabular(trained.encoding, shape, trained.prior)
    weights = dict(trained.weights)
    for teacher, units, before in zip(bench.teacher.linears(), kept, [None, *kept[:-1]], strict=True):
        rows = weights[f"{teacher}.weight"][units]
        weights[f"{teacher}.weight"] = rows if before is None else rows[:, before]
        weights[f"{teacher}.bias"] = weights[f"{teacher}.bias"][units]
    weights["output.weight"] = weights["output.weight"][:, kept[-1]]
    student.load_state_dict(weights)
    return student


def _written(widths: Sequence[int]) -> str:
    return " and ".join(map(str, widths))
