"""How a student learns from a teacher: a short loop on one host, on all of its cores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.package.progress import Progress
from training.train.data import Rows
from training.train.loop import learning_rate
from training.train.model import Tabular

_TRUTH = 0.2
"""Share of the loss that comes from the labels; the rest comes from the teacher."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``epochs`` passes in batches of ``batch_rows``, the rate rising to ``peak`` and falling to zero."""

    epochs: int
    peak: float
    temperature: float
    seed: int
    batch_rows: int = 1024
    weight_decay: float = 1e-2


def learn(student: Tabular, rows: Rows, odds: Tensor, plan: Plan, name: str) -> Tabular:
    """Train ``student`` in place on ``rows`` [N] and the teacher's log-odds [N]; return it to be used.

    The loss mixes the labels' with the cross-entropy against the teacher's probabilities, both softened by
    the temperature T and scaled by T². Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a
    Neural Network", 2015, section 2.
    """
    torch.manual_seed(plan.seed)
    optimiser = torch.optim.AdamW(student.parameters(), plan.peak, weight_decay=plan.weight_decay)
    steps = math.ceil(len(rows) / plan.batch_rows)
    progress = Progress(f"{name}, steps", steps * plan.epochs)
    student.train()
    for step, chosen in enumerate(_batches(len(rows), plan)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps * plan.epochs, plan.peak)
        loss = _loss(student, rows.take(chosen), odds[chosen], plan.temperature)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress.tell(step + 1)
    return student.eval()


def _batches(rows: int, plan: Plan) -> Iterator[Tensor]:
    for _ in range(plan.epochs):
        order = torch.randperm(rows)
        yield from (order[at : at + plan.batch_rows] for at in range(0, rows, plan.batch_rows))


def _loss(student: Tabular, rows: Rows, taught: Tensor, temperature: float) -> Tensor:
    odds = student(rows.numbers, rows.categories)
    soft = binary_cross_entropy_with_logits(odds / temperature, torch.sigmoid(taught / temperature))
    truth = binary_cross_entropy_with_logits(odds, rows.labels)
    return (1 - _TRUTH) * temperature**2 * soft + _TRUTH * truth
