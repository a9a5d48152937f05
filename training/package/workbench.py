"""What recipes work with: the teacher, its graphs, and training rows, each made when first asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.schema import Optimise
from training.package.candidate import Score
from training.package.evaluate import torch_score
from training.package.export import export
from training.package.graphs import Graphs
from training.package.scoring import Inputs, inputs_of_encoding
from training.train.artefact import Trained
from training.train.data import LABEL, Examples, Rows, number_matrix
from training.train.model import Tabular

_log = logging.getLogger(__name__)
_AT_ONCE = 8192


@dataclass(frozen=True)
class Workbench:
    """A trained teacher, the training split it was trained on, and recent rows without a label."""

    trained: Trained
    train: Examples
    settings: Optimise
    unlabelled: Examples | None = None

    @cached_property
    def teacher(self) -> Tabular:
        """The teacher, in evaluation mode."""
        return self.trained.model()

    @cached_property
    def graphs(self) -> Graphs:
        """The teacher's own graphs."""
        return export(self.teacher)

    @cached_property
    def score(self) -> Score:
        """The teacher as one that scores rows."""
        return torch_score(self.teacher)

    @cached_property
    def inputs(self) -> Inputs:
        """The teacher's inputs, which every candidate shares."""
        return inputs_of_encoding(self.trained.encoding)

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """Training rows [N, n + c], evenly spread where the split has more than the settings allow."""
        return self._learnt[0]

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        """Their labels [N]."""
        return self._learnt[1]

    @cached_property
    def rows(self) -> Rows:
        """The same rows as torch models take them."""
        count = len(self.inputs.numbers)
        return Rows(
            torch.from_numpy(self.matrix[:, :count].copy()),
            torch.from_numpy(self.matrix[:, count:].astype(np.int64)),
            torch.from_numpy(self.labels),
        )

    @cached_property
    def odds(self) -> Tensor:
        """What the teacher says of these rows: log-odds [N]."""
        _log.info("asking the teacher about %d training rows", len(self.rows))
        return self._asked(self.rows)

    @cached_property
    def lessons(self) -> tuple[Rows, Tensor]:
        """What students learn from: training rows and then unlabelled ones, and the teacher's log-odds [N].

        In place of the label that an unlabelled row lacks stands what the teacher thinks of it. Of
        either kind there are no more than the settings allow, evenly spread.
        """
        if self.unlabelled is None or not len(self.unlabelled):
            return self.rows, self.odds
        count = len(self.inputs.numbers)
        parts = self._spread(self.unlabelled, self.inputs.names)
        matrix = torch.from_numpy(
            np.concatenate([self.inputs.of_batch(batch)[kept] for batch, kept in parts])
        )
        _log.info("asking the teacher about %d unlabelled rows", len(matrix))
        numbers, slots = matrix[:, :count].contiguous(), matrix[:, count:].to(torch.int64)
        odds = self._asked(Rows(numbers, slots, torch.zeros(len(matrix))))
        rows = Rows(
            torch.cat([self.rows.numbers, numbers]),
            torch.cat([self.rows.categories, slots]),
            torch.cat([self.rows.labels, torch.sigmoid(odds)]),
        )
        return rows, torch.cat([self.odds, odds])

    @torch.inference_mode()
    def _asked(self, rows: Rows) -> Tensor:
        parts = [rows.take(slice(at, at + _AT_ONCE)) for at in range(0, len(rows), _AT_ONCE)]
        return torch.cat([self.teacher(part.numbers, part.categories) for part in parts])

    @cached_property
    def _learnt(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows, labels = [], []
        for batch, kept in self._spread(self.train, [*self.inputs.names, LABEL]):
            rows.append(self.inputs.of_batch(batch)[kept])
            labels.append(number_matrix(batch, [LABEL])[kept, 0])
        return np.concatenate(rows), np.concatenate(labels)

    def _spread(
        self, examples: Examples, columns: Sequence[str]
    ) -> Iterator[tuple[pa.RecordBatch, slice[int, None, int]]]:
        """Yield every batch, and which of its rows to keep so that the settings allow their number."""
        stride, at = -(-len(examples) // self.settings.rows), 0
        _log.info("reading every %s of the %d rows in %s", _nth(stride), len(examples), examples.folder.name)
        for batch in examples.batches(columns):
            yield batch, slice(-at % stride, None, stride)
            at += batch.num_rows


def _nth(stride: int) -> str:
    return "one" if stride == 1 else f"{stride}th"
