"""How a student learns from a teacher: a short loop on one thread.

A student's matrices are small: to share them among threads costs more than it saves, and the order in which
threads add up would make the result depend on how many cores a host has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _one_thread():
        _fit(student, rows, odds, plan, Progress(f"{name}, steps", _steps(len(rows), plan) * plan.epochs))
    return student.eval()


def _fit(student: Tabular, rows: Rows, odds: Tensor, plan: Plan, progress: Progress) -> None:
    torch.manual_seed(plan.seed)
    optimiser = torch.optim.AdamW(student.parameters(), plan.peak, weight_decay=plan.weight_decay)
    student.train()
    for step, chosen in enumerate(_batches(len(rows), plan)):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, _steps(len(rows), plan) * plan.epochs, plan.peak)
        loss = _loss(student, rows.take(chosen), odds[chosen], plan.temperature)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress.tell(step + 1)


def _steps(rows: int, plan: Plan) -> int:
    return math.ceil(rows / plan.batch_rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(rows: int, plan: Plan) -> Iterator[Tensor]:
    for _ in range(plan.epochs):
        order = torch.randperm(rows)
        yield from (order[at : at + plan.batch_rows] for at in range(0, rows, plan.batch_rows))


def _loss(student: Tabular, rows: Rows, taught: Tensor, temperature: float) -> Tensor:
    odds = student(rows.numbers, rows.categories)
    soft = binary_cross_entropy_with_logits(odds / temperature, torch.sigmoid(taught / temperature))
    truth = binary_cross_entropy_with_logits(odds, rows.labels)
    return (1 - _TRUTH) * temperature**2 * soft + _TRUTH * truth
