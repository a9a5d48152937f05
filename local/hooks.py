"""Replace private parts of the emulator, and refuse to start when one of them is no longer there.

MiniStack and moto are pinned exactly, because what is replaced here is internal to them. Every
replacement goes through this module, so that an upgrade which moves a function fails at start with
the function's name instead of leaving a job that silently reports success.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

EMULATOR = "1.5.33"
"""The MiniStack version that every hook was written against."""


class HookError(RuntimeError):
    """A private name that Millrace replaces is missing, or no longer has the expected shape."""

    def __init__(self, owner: object, name: str, problem: str) -> None:
        where = f"{getattr(owner, '__name__', owner)}.{name}"
        super().__init__(
            f"{where}: {problem}. Millrace's local environment was written for ministack {EMULATOR}; "
            f"install that version, or adapt the module under local/emulator that replaces {where}."
        )


def expect(owner: object, name: str, parameters: tuple[str, ...] | None = None) -> Any:
    """Return ``owner.name`` after checking that it exists and takes exactly ``parameters``.

    ``parameters`` is None for what is not called (a dictionary, a module). Raises HookError.
    """
    missing = object()
    found = getattr(owner, name, missing)
    if found is missing:
        raise HookError(owner, name, "no such name")
    if parameters is not None:
        _check_parameters(owner, name, found, parameters)
    return found


def _check_parameters(owner: object, name: str, found: Any, parameters: tuple[str, ...]) -> None:
    if not callable(found):
        raise HookError(owner, name, "not a function any more")
    actual = tuple(inspect.signature(found).parameters)
    if actual != parameters:
        raise HookError(owner, name, f"takes ({', '.join(actual)}), expected ({', '.join(parameters)})")


def replace(
    owner: object, name: str, parameters: tuple[str, ...], wrap: Callable[[Callable[..., Any]], Any]
) -> None:
    """Replace ``owner.name`` by ``wrap(original)``."""
    setattr(owner, name, wrap(expect(owner, name, parameters)))


def edit_text(owner: object, name: str, old: str, new: str) -> None:
    """Replace the one occurrence of ``old`` in the text constant ``owner.name`` by ``new``."""
    text = expect(owner, name)
    if not isinstance(text, str) or text.count(old) != 1:
        raise HookError(owner, name, f"expected the text {old!r} exactly once")
    setattr(owner, name, text.replace(old, new))
