"""One pass over a rank's rows in batches, and how long the loop waited for them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torch import Tensor

from training.train.data import Rows


class Batches:
    """``rows`` in ``order`` [N], ``size`` at a time; the last batch may be smaller.

    The rows are in memory, so a batch is put together when the loop asks for it and the loop waits: on a GPU
    for no longer than it takes to ask.
    """

    def __init__(self, rows: Rows, order: Tensor, size: int) -> None:
        self._rows = rows
        self._order = order
        self._size = size
        self.waited = 0.0
        """Seconds that the loop has waited so far."""

    def __iter__(self) -> Iterator[Rows]:
        for start in range(0, len(self._order), self._size):
            asked = time.perf_counter()
            batch = self._rows.take(self._order[start : start + self._size])
            self.waited += time.perf_counter() - asked
            yield batch
