"""The training job's result: weights and all that is needed to rebuild the model around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract.schema import Training
from training.train.encoding import Encoding
from training.train.model import Tabular

_WEIGHTS = "weights.pt"
_DESCRIPTION = "model.json"


class ArtefactError(ValueError):
    """A training job's result that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained model and where it comes from. ``facts`` are metrics and provenance, for people."""

    workload: str
    run: str
    contract_sha256: str
    encoding: Encoding
    training: Training
    prior: float
    weights: Mapping[str, Tensor]
    facts: dict[str, Any]

    def model(self) -> Tabular:
        """Rebuild the model on the CPU, in evaluation mode."""
        model = Tabular(self.encoding, self.training, self.prior)
        model.load_state_dict(self.weights)
        return model.eval()


def write_trained(trained: Trained, folder: Path) -> None:
    """Write ``weights.pt`` and ``model.json`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.cpu() for name, value in trained.weights.items()}, folder / _WEIGHTS)
    description = {
        "workload": trained.workload,
        "run": trained.run,
        "contract_sha256": trained.contract_sha256,
        "prior": trained.prior,
        "encoding": asdict(trained.encoding),
        "training": asdict(trained.training),
        "facts": trained.facts,
    }
    (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2, allow_nan=False) + "\n")


def read_trained(folder: Path) -> Trained:
    """Read what ``write_trained`` wrote. Raises ArtefactError where it is not there."""
    for name in (_WEIGHTS, _DESCRIPTION):
        if not (folder / name).is_file():
            raise ArtefactError(
                f"{folder} holds no {name}: it is not the result of this project's training job"
            )
    described = json.loads((folder / _DESCRIPTION).read_text())
    training = {**described["training"], "hidden": tuple(described["training"]["hidden"])}
    return Trained(
        workload=described["workload"],
        run=described["run"],
        contract_sha256=described["contract_sha256"],
        encoding=Encoding.from_json(described["encoding"]),
        training=Training(**training),
        prior=described["prior"],
        weights=torch.load(folder / _WEIGHTS, map_location="cpu", weights_only=True),
        facts=described["facts"],
    )
