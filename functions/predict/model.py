"""The model: rows of numbers in, probabilities out, over memory that is made once.

Not for more than one thread at a time: all calls share that memory.
"""

from __future__ import annotations

import ctypes
from itertools import islice

from .engine import Call, EngineError, Handle, engine

FEED, FETCH = b"rows", b"probability"
_BOUND = 256  # sizes of request that are kept bound

Bound = tuple[Call, tuple[Handle, Handle]]
"""A call for one size of request, and the tensors that it uses."""


class Model:
    """Runs a bundle's two graphs: one folded for single records, one for batches.

    ``rows`` is the memory of their input, float32 [capacity, columns]: the numbers (NaN where missing), then
    the categories' slots. Fill its first rows, then ``run``.
    """

    def __init__(self, single: bytes, batch: bytes, *, columns: int, capacity: int) -> None:
        self.columns, self.capacity = columns, capacity
        self._rows = (ctypes.c_float * (columns * capacity))()
        self._probabilities = (ctypes.c_float * capacity)()
        self.rows = memoryview(self._rows).cast("B")
        self._answers = memoryview(self._probabilities).cast("B").cast("f")
        self._engine = engine()
        one = self._engine.session(single)
        self._batch = one if batch == single else self._engine.session(batch)
        self._sessions = [one] if batch == single else [one, self._batch]
        self._calls: dict[int, Bound] = {1: self._bind(one, 1)}
        self._try()

    def run(self, count: int) -> list[float]:
        """Return the probability of the first ``count`` rows, 1 ≤ count ≤ capacity. Raises EngineError."""
        call, _ = self._calls.get(count) or self._bound(count)
        call()
        return self._answers[:count].tolist()  # type: ignore[return-value]

    def last(self, count: int) -> memoryview[float]:
        """Return the memory of the last run's ``count`` probabilities, float32."""
        return self._answers[:count]

    def close(self) -> None:
        """Give back what the engine holds: for whoever takes over a newer model and lives on."""
        for _, tensors in self._calls.values():
            for tensor in tensors:
                self._engine.release(tensor)
        for session in self._sessions:
            self._engine.end(session)
        self._calls, self._sessions = {}, []

    def _bound(self, count: int) -> Bound:
        if not self._sessions:
            raise EngineError("this model was closed, and another one answers in its place")
        bound = self._bind(self._batch, count)
        if len(self._calls) == _BOUND:
            self._forget_oldest()
        self._calls[count] = bound
        return bound

    def _bind(self, session: Handle, count: int) -> Bound:
        rows = self._engine.tensor(self._rows, (count, self.columns))
        probabilities = self._engine.tensor(self._probabilities, (count,))
        return self._engine.call(session, (FEED, rows), (FETCH, probabilities)), (rows, probabilities)

    def _forget_oldest(self) -> None:
        """Give back the tensors of the size that was bound first, after that of single records."""
        oldest = next(islice(self._calls, 1, None))
        _, tensors = self._calls.pop(oldest)
        for tensor in tensors:
            self._engine.release(tensor)

    def _try(self) -> None:
        """Run both graphs, so that one of another shape fails at the start and not under a caller."""
        for count in {1, min(2, self.capacity)}:
            self.run(count)
