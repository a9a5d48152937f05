"""What every process of a training job does. Started by ``training.train.launch`` through torchrun."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from dataclasses import asdict
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from training.train.artefact import Trained, write_trained
from training.train.checkpoint import Checkpoints
from training.train.data import Examples, equal_share, read_rows, share
from training.train.encoding import Encoding, read_encoding, read_prior, training_profile
from training.train.ending import end_with_parent, leave
from training.train.folders import Folders
from training.train.loop import Trainer
from training.train.model import Tabular
from training.train.ranks import Ranks, joined
from training.train.settings import Settings, read_settings

_log = logging.getLogger(__name__)


@record
def main() -> None:
    """Train as SageMaker's folders say. ``record`` hands an error and its traceback to the launcher."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    end_with_parent()
    folders = Folders.of_environment()
    settings = read_settings(folders.config("hyperparameters.json"))
    with joined() as ranks:
        train(settings, folders, ranks)


def train(settings: Settings, folders: Folders, ranks: Ranks) -> None:
    """Train on this rank's rows; the first rank writes the result to ``folders.model``."""
    reports = folders.channel("reports")
    encoding, prior = read_encoding(reports), read_prior(reports)
    trainer = _trainer(settings, encoding, prior, folders, ranks)
    began = time.monotonic()
    progress = trainer.run()
    metrics = trainer.validation()
    seconds = round(time.monotonic() - began, 1)
    if not ranks.first:
        return
    facts: dict[str, Any] = {
        "metrics": {"validate": metrics.as_json()},
        "best_epoch": progress.best_epoch,
        "history": progress.history,
        "processes": ranks.size,
        "device": ranks.device.type,
        "seconds": seconds,
    }
    write_trained(
        Trained(
            workload=settings.contract.name,
            run=settings.run,
            contract_sha256=settings.contract.sha256,
            encoding=encoding,
            training=settings.training,
            prior=prior,
            weights=progress.best,
            facts=facts,
        ),
        folders.model,
    )
    # The last values in the log are what SageMaker takes for the job's: those of the model that is kept.
    _log.info(
        "trained for %s s; epoch %d is the best: validate_loss=%.6g validate_auc=%.6g",
        *(seconds, progress.best_epoch, metrics.log_loss, metrics.auc),
    )


def _trainer(settings: Settings, encoding: Encoding, prior: float, folders: Folders, ranks: Ranks) -> Trainer:
    train, validate = (Examples(folders.channel("examples"), split) for split in ("train", "validate"))
    torch.manual_seed(settings.training.seed)
    model = Tabular(encoding, settings.training, prior)
    if ranks.first:
        _log.info(
            "training %s on %d rows, validating on %d: %d processes on %s, %d parameters",
            *(settings.contract.name, len(train), len(validate), ranks.size, ranks.device.type),
            sum(parameter.numel() for parameter in model.parameters()),
        )
    return Trainer(
        model=model,
        train=read_rows(train, encoding, equal_share(len(train), ranks.rank, ranks.size)),
        validate=read_rows(validate, encoding, share(len(validate), ranks.rank, ranks.size)),
        training=settings.training,
        ranks=ranks,
        checkpoints=Checkpoints(folders.checkpoints, _fingerprint(settings, folders)),
    )


def _fingerprint(settings: Settings, folders: Folders) -> str:
    """Return what must be equal for a checkpoint to be worth resuming: hyperparameters and data."""
    facts = [settings.contract.name, asdict(settings.training), training_profile(folders.channel("reports"))]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
    leave()
