"""The training loop: DistributedDataParallel, early stopping, a checkpoint after every epoch.

Everything random follows from (seed, epoch, rank), so a resumed job does what the killed one would have.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from contract.schema import Training
from training.train.batches import Batches
from training.train.checkpoint import Checkpoints
from training.train.data import Rows
from training.train.gradients import averaged
from training.train.metrics import Metrics, measure
from training.train.model import Tabular
from training.train.ranks import Ranks

_log = logging.getLogger(__name__)
_WARM_UP = 0.05  # share of all steps during which the learning rate rises
_SCORED_AT_ONCE = 8192


@dataclass(kw_only=True)
class Progress:
    """How far training has come. ``best`` holds the weights with the lowest validation log loss so far."""

    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def stalled(self, patience: int) -> bool:
        """Whether ``patience`` epochs have passed without a better one."""
        return self.epoch - self.best_epoch >= patience


class Trainer:
    """Trains ``model`` on this rank's ``train`` rows; ``validate`` is this rank's share of that split."""

    def __init__(
        self,
        *,
        model: Tabular,
        train: Rows,
        validate: Rows,
        training: Training,
        ranks: Ranks,
        checkpoints: Checkpoints,
    ) -> None:
        self._model = model.to(ranks.device)
        self._train = train.to(ranks.device)
        self._validate = validate.to(ranks.device)
        self._training = training
        self._ranks = ranks
        self._checkpoints = checkpoints
        self._parallel = DistributedDataParallel(
            self._model,
            device_ids=[ranks.local] if ranks.device.type == "cuda" else None,
            forward_sync_buffers=False,  # read from the same reports by every rank, and never changed
            gradient_as_bucket_view=True,  # gradients are averaged where they lie
        )
        if ranks.device.type == "cpu":
            self._parallel.register_comm_hook(None, averaged)
        self._optimiser = torch.optim.AdamW(
            self._model.parameters(), training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        self._batch = max(1, training.batch_rows // ranks.size)
        self._steps = math.ceil(len(train) / self._batch)
        self.progress = Progress()

    def run(self) -> Progress:
        """Train until the last epoch or until validation stalls; leave the best weights in the model."""
        self._resume()
        while self.progress.epoch < self._training.epochs and not self.progress.stalled(
            self._training.patience
        ):
            self._epoch()
        self._model.load_state_dict(self.progress.best)
        self._ranks.check_identical(self._model.state_dict())
        return self.progress

    def validation(self) -> Metrics:
        """Measure the model on the whole validation split."""
        scores = self._ranks.together(
            torch.from_numpy(probabilities(self._model, self._validate)).to(self._device)
        )
        return measure(self._ranks.together(self._validate.labels).numpy(), scores.numpy())

    @property
    def _device(self) -> torch.device:
        return self._ranks.device

    def _epoch(self) -> None:
        began = time.perf_counter()
        loss, waited = self._pass()
        seconds = time.perf_counter() - began
        metrics = self.validation()
        self.progress.epoch += 1
        report = {
            "epoch": self.progress.epoch,
            "train_loss": loss,
            "validate_loss": metrics.log_loss,
            "validate_auc": metrics.auc,
            "rows_per_second": round(self._ranks.size * len(self._train) / seconds),
            "waiting_for_data": waited / seconds,
        }
        self._note(report)
        if self._ranks.first:
            _log.info(metric_line(report))
        if self._ranks.first_on_host:
            self._checkpoints.save(self.progress.epoch, self._state())

    def _pass(self) -> tuple[float, float]:
        """Take every training row once, in a new order; return the mean loss over all ranks.

        Also returns the seconds that this rank waited for its batches.
        """
        batches = Batches(self._train, self._seeded().to(self._device), self._batch)
        self._model.train()
        total = torch.zeros((), device=self._device)
        for step, rows in enumerate(batches):
            total += self._step(rows, self.progress.epoch * self._steps + step) * len(rows)
        return self._ranks.total(float(total)) / self._ranks.total(len(self._train)), batches.waited

    def _step(self, rows: Rows, number: int) -> Tensor:
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(
                number, self._steps * self._training.epochs, self._training.learning_rate
            )
        reduced = self._device.type == "cuda" and self._training.precision == "bf16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=reduced):
            odds = self._parallel(rows.numbers, rows.categories)
        loss = binary_cross_entropy_with_logits(odds.float(), rows.labels)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach()

    def _seeded(self) -> Tensor:
        """Seed this rank's epoch, dropout included, and return the order of its rows."""
        seed = np.random.SeedSequence((self._training.seed, self.progress.epoch, self._ranks.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        return torch.randperm(len(self._train))

    def _note(self, report: dict[str, float]) -> None:
        self.progress.history.append(report)
        if report["validate_loss"] < self.progress.best_loss:
            self.progress.best_epoch = self.progress.epoch
            self.progress.best_loss = report["validate_loss"]
            self.progress.best = {name: value.clone() for name, value in self._model.state_dict().items()}

    def _state(self) -> dict[str, Any]:
        progress = dict(vars(self.progress))
        return {
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": progress,
        }

    def _resume(self) -> None:
        state = self._checkpoints.latest(self._ranks)
        if state is None:
            return
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        if self._ranks.first:
            _log.info("resuming after epoch %d", self.progress.epoch)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Rise to ``peak`` linearly, then fall to zero at step ``steps`` along a cosine.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
    """
    rising = max(1, round(steps * _WARM_UP))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


@torch.inference_mode()
def probabilities(model: nn.Module, rows: Rows) -> NDArray[np.float32]:
    """Return the probability of a positive [N] float32 for each of ``rows``, without dropout."""
    model.eval()
    scores = [torch.sigmoid(model(part.numbers, part.categories)) for part in _parts(rows)]
    return torch.cat(scores).float().cpu().numpy() if scores else np.empty(0, np.float32)


def _parts(rows: Rows) -> list[Rows]:
    starts = range(0, len(rows), _SCORED_AT_ONCE)
    return [rows.take(slice(start, start + _SCORED_AT_ONCE)) for start in starts]


def metric_line(report: dict[str, float]) -> str:
    """Return the one form of line from which CloudWatch reads metrics: ``millrace name=value …``."""
    return " ".join(["millrace", *(f"{name}={value:.6g}" for name, value in report.items())])
