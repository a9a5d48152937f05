"""Help pages, drawn from a command's signature and docstring.

The parser's own pages take longer than the 0.3 s that help may take, most of it for imports;
these need the standard library only, and are plain text that can be copied.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from textwrap import wrap
from typing import Any

WIDTH = 100
INDENT = 26
PARAM = re.compile(r":param (\w+):\s*(.*?)(?=\n\s*:|\Z)", re.DOTALL)
SPACES = re.compile(r"\s+")


def row(name: str, text: str) -> str:
    """Lay out one line of a page: ``name`` left, ``text`` wrapped right."""
    lines = wrap(text, WIDTH - INDENT) or [""]
    head = f"  {name:<{INDENT - 2}}" if len(name) < INDENT - 2 else f"  {name}\n{' ' * INDENT}"
    return (head + f"\n{' ' * INDENT}".join(lines)).rstrip()


def overview(intro: str, commands: Mapping[str, str]) -> str:
    """Draw the page of all commands, a line each."""
    rows = [row(name, text) for name, text in commands.items()]
    tail = "millrace COMMAND --help tells more; --env chooses the environment (or MILLRACE_ENV; else local)."
    return "\n".join([intro, "", "usage: millrace COMMAND [OPTIONS]", "", *rows, "", tail, ""])


def spelling(parameter: inspect.Parameter) -> str:
    """Give a parameter as it is typed: ``FIELD``, ``--field VALUE``, ``--field`` or ``--no-field``."""
    flag = parameter.name.strip("_").replace("_", "-")
    if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
        return flag.upper()
    if parameter.annotation == "bool":
        return f"--no-{flag}" if parameter.default is True else f"--{flag}"
    return f"--{flag} {placeholder(str(parameter.annotation))}"


def placeholder(annotation: str) -> str:
    """Name the kind of value that an option takes."""
    kinds = {"int": "NUMBER", "float": "NUMBER", "Path": "PATH", "list[str]": "NAME=VALUE"}
    return kinds.get(annotation.removesuffix(" | None"), "TEXT")


def options(command: Callable[..., Any]) -> list[str]:
    """Give every parameter of ``command`` as it is typed, in order."""
    return [spelling(parameter) for parameter in inspect.signature(command).parameters.values()]


def page(name: str, command: Callable[..., Any]) -> str:
    """Draw the page of one command."""
    text = inspect.getdoc(command) or ""
    body, _, _ = text.partition("\n:param")
    told = {key: SPACES.sub(" ", value).strip() for key, value in PARAM.findall(text)}
    parameters = inspect.signature(command).parameters.values()
    rows = [row(spelling(each), told.get(each.name.strip("_"), "")) for each in parameters]
    places = "".join(f" [{spelling(each)}]" for each in parameters if each.kind is each.POSITIONAL_ONLY)
    return "\n".join([f"usage: millrace {name}{places} [OPTIONS]", "", body.strip(), "", *rows, ""])
