"""ONNX Runtime through its C interface: one session on one thread, without numpy.

What a call of the Python binding spends on turning arrays into tensors and back is a third of a small
model's time, and importing it with numpy is most of a cold start. Here input and output are tensors over
memory that this process owns, made once.

The interface is a table of functions that only grows at its end, asked for by version: a place in it means
the same in every later library. Source: onnxruntime_c_api.h, `OrtApiBase` and `OrtApi`.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from functools import cache
from math import prod
from os import listdir
from os.path import isdir, join
from typing import Any

INTERFACE = 16
"""Version of the table that is asked for: that of ONNX Runtime 1.16. Every later library hands it out."""

_PLACES = {
    "GetErrorMessage": 2,
    "CreateEnv": 3,
    "CreateSessionFromArray": 8,
    "Run": 9,
    "CreateSessionOptions": 10,
    "SetIntraOpNumThreads": 24,
    "SetInterOpNumThreads": 25,
    "CreateTensorWithDataAsOrtValue": 49,
    "CreateCpuMemoryInfo": 69,
    "ReleaseStatus": 93,
    "ReleaseSession": 95,
    "ReleaseValue": 96,
}
_ERRORS_ONLY = 3  # ORT_LOGGING_LEVEL_ERROR
_ARENA = 1  # OrtArenaAllocator
_DEFAULT_MEMORY = 0  # OrtMemTypeDefault
_FLOAT = 1  # ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT

Handle = ctypes.c_void_p
Floats = ctypes.Array[ctypes.c_float]


class EngineError(Exception):
    """ONNX Runtime is not there, or refused. Carries its own words."""


@cache
def engine() -> Engine:
    """Return the one engine of this process: what it makes of the library for itself is never given back.

    Raises EngineError.
    """
    return Engine()


class Engine:
    """The library, loaded once."""

    def __init__(self, library: str | None = None) -> None:
        self._table = _table(library or find_library(sys.path))
        self._message = self._function("GetErrorMessage", Handle, result=ctypes.c_char_p)
        self._release_status = self._function("ReleaseStatus", Handle, result=None)
        self._release_value = self._function("ReleaseValue", Handle, result=None)
        self._release_session = self._function("ReleaseSession", Handle, result=None)
        self._run = self._function("Run", *[Handle] * 4, ctypes.c_size_t, Handle, ctypes.c_size_t, Handle)
        pointer = ctypes.POINTER(Handle)
        self._environment = self._made("CreateEnv", ctypes.c_int, ctypes.c_char_p, pointer)(
            _ERRORS_ONLY, b"millrace"
        )
        self._memory = self._made("CreateCpuMemoryInfo", ctypes.c_int, ctypes.c_int, pointer)(
            _ARENA, _DEFAULT_MEMORY
        )
        self._options = self._single_thread(self._made("CreateSessionOptions", pointer)())
        self._load = self._made(
            "CreateSessionFromArray", Handle, ctypes.c_char_p, ctypes.c_size_t, Handle, pointer
        )
        shape = ctypes.POINTER(ctypes.c_int64)
        self._wrap = self._made(
            *("CreateTensorWithDataAsOrtValue", Handle, Handle, ctypes.c_size_t),
            *(shape, ctypes.c_size_t, ctypes.c_int, pointer),
        )

    def session(self, model: bytes) -> Handle:
        """Load a serialised graph. Raises EngineError."""
        return self._load(self._environment, model, len(model), self._options)

    def tensor(self, memory: Floats, shape: Sequence[int]) -> Handle:
        """Make a float32 tensor of ``shape`` over the start of ``memory``, which must outlive it.

        Raises EngineError where ``memory`` is too small: the engine itself would write beyond it.
        """
        sizes = (ctypes.c_int64 * len(shape))(*shape)
        size = prod(shape, start=ctypes.sizeof(ctypes.c_float))
        if not 0 < size <= ctypes.sizeof(memory):
            raise EngineError(f"a tensor of {tuple(shape)} does not fit into {ctypes.sizeof(memory)} bytes")
        return self._wrap(self._memory, ctypes.addressof(memory), size, sizes, len(shape), _FLOAT)

    def release(self, tensor: Handle) -> None:
        """Give back what the engine holds of a tensor that nothing will use again; its memory stays ours."""
        self._release_value(tensor)

    def end(self, session: Handle) -> None:
        """Give back a session that nothing will run again."""
        self._release_session(session)

    def call(self, session: Handle, feed: tuple[bytes, Handle], fetch: tuple[bytes, Handle]) -> Call:
        """Bind ``session`` to one named input and one named output."""
        return Call(self._run, self.check, session, feed, fetch)

    def check(self, status: int | None) -> None:
        """Raise EngineError with the engine's words unless ``status`` is none, which means success."""
        if status:
            said = self._message(status).decode(errors="replace")
            self._release_status(status)
            raise EngineError(said)

    def _function(self, name: str, *arguments: Any, result: Any = Handle) -> Callable[..., Any]:
        address: Any = self._table[_PLACES[name]]
        return ctypes.CFUNCTYPE(result, *arguments)(address)

    def _made(self, name: str, *arguments: Any) -> Callable[..., Handle]:
        """Wrap a function whose last argument is where it leaves what it has made."""
        function = self._function(name, *arguments)

        def make(*given: Any) -> Handle:
            made = Handle()
            self.check(function(*given, ctypes.byref(made)))
            return made

        return make

    def _single_thread(self, options: Handle) -> Handle:
        """One request is one small graph on a fraction of a core: a pool of threads only costs."""
        for name in ("SetIntraOpNumThreads", "SetInterOpNumThreads"):
            self.check(self._function(name, Handle, ctypes.c_int)(options, 1))
        return options


class Call:
    """A session with its input and output bound: calling it runs the graph over their memory."""

    def __init__(
        self,
        run: Callable[..., int | None],
        check: Callable[[int | None], None],
        session: Handle,
        feed: tuple[bytes, Handle],
        fetch: tuple[bytes, Handle],
    ) -> None:
        self._run, self._check = run, check
        names = [(ctypes.c_char_p * 1)(feed[0]), (ctypes.c_char_p * 1)(fetch[0])]
        values = [(Handle * 1)(feed[1]), (Handle * 1)(fetch[1])]
        self._alive = (*names, *values)  # the arguments below are addresses within these
        inputs, outputs = (
            (Handle(ctypes.addressof(n)), Handle(ctypes.addressof(v)))
            for n, v in zip(names, values, strict=True)
        )
        one = ctypes.c_size_t(1)
        self._arguments = (session, None, *inputs, one, outputs[0], one, outputs[1])

    def __call__(self) -> None:
        """Run. Raises EngineError."""
        if status := self._run(*self._arguments):
            self._check(status)


def find_library(places: Sequence[str]) -> str:
    """Return the shared library of the first installed ``onnxruntime`` on ``places``, importing nothing."""
    for place in places:
        folder = join(place, "onnxruntime", "capi")
        names = sorted(listdir(folder)) if isdir(folder) else []
        if found := [name for name in names if name.startswith(("libonnxruntime.so.", "libonnxruntime.1."))]:
            return join(folder, found[-1])
    raise EngineError("libonnxruntime is not on the path; install onnxruntime beside this function")


def _table(library: str) -> Any:
    try:
        base = ctypes.CDLL(library).OrtGetApiBase
    except (OSError, AttributeError) as error:
        raise EngineError(f"{library} cannot be loaded: {error}; install onnxruntime again") from error
    base.restype = ctypes.POINTER(Handle)
    table = ctypes.CFUNCTYPE(Handle, ctypes.c_uint32)(base()[0])(INTERFACE)
    if not table:
        raise EngineError(
            f"{library} does not offer interface {INTERFACE}; install onnxruntime 1.16 or later"
        )
    return ctypes.cast(table, ctypes.POINTER(Handle))
