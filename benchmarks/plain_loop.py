"""The reference for training: the loop that PyTorch's tutorial shows, on the same rows, model and batch.

    python -m benchmarks.plain_loop RUN --batch 512 --epochs 3

RUN holds the ``examples`` and ``reports`` of a preprocessing run. One process, one thread, everything in
memory, no ranks, no schedule, no checkpoints. Prints ``rows_per_second=…`` for each epoch.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from contract.load import workload
from training.train.data import Examples, Rows, read_rows
from training.train.encoding import read_encoding, read_prior
from training.train.model import Tabular


def main() -> None:
    """Train and print each epoch's rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    encoding, training = read_encoding(asked.run / "reports"), workload("flights").model.training
    examples = Examples(asked.run / "examples", "train")
    rows = read_rows(examples, encoding, range(len(examples)))
    torch.manual_seed(training.seed)
    model = Tabular(encoding, training, read_prior(asked.run / "reports"))
    optimiser = torch.optim.AdamW(model.parameters(), training.learning_rate)
    for _ in range(asked.epochs):
        began = time.perf_counter()
        epoch(model, optimiser, rows, asked.batch)
        rate = len(rows) / (time.perf_counter() - began)
        sys.stdout.write(f"millrace rows_per_second={rate:.0f}\n")
        sys.stdout.flush()


def epoch(model: Tabular, optimiser: torch.optim.Optimizer, rows: Rows, size: int) -> None:
    """Take every row once, in a new order, ``size`` at a time."""
    model.train()
    order = torch.randperm(len(rows))
    for start in range(0, len(rows), size):
        batch = rows.take(order[start : start + size])
        optimiser.zero_grad()
        loss = binary_cross_entropy_with_logits(model(batch.numbers, batch.categories), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


if __name__ == "__main__":
    main()
