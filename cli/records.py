"""Records to be predicted: read from the command line, from a file, or from the contract's examples."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.errors import CliError

SHAPES = 'write one record {"feature": value, …}, a list of them, or {"records": [ … ]}'


def parse(text: str, where: str) -> list[Any]:
    """Read one record, a list of records, or a whole request body; lines of JSON are read as well.

    Raises `CliError` that names ``where`` the text came from, and the line and column of a slip.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        return parse_lines(text, where, error)
    except (ValueError, RecursionError) as error:
        raise unreadable(where) from error
    if isinstance(content, dict) and isinstance(content.get("records"), list):
        return list(content["records"])
    if isinstance(content, dict):
        return [content]
    if isinstance(content, list):
        return content
    raise CliError(f"{text.strip()[:60]} is not a record", where, SHAPES)


def parse_lines(text: str, where: str, error: json.JSONDecodeError) -> list[Any]:
    """Read a record from each line, or report the ``error`` that the whole text gave."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError:
            pass
        except (ValueError, RecursionError) as slip:
            raise unreadable(where) from slip
    place = f"{where}, line {error.lineno}, column {error.colno}"
    raise CliError(f"this is not JSON: {error.msg}", place, SHAPES) from error


def unreadable(where: str) -> CliError:
    """Say of what Python's reader gives up on that it is no record."""
    return CliError("a number is too long, or the records are nested too deep", where, SHAPES)


def read(record: str | None, file: str | None, examples: Sequence[Any]) -> list[Any]:
    """Give the records that were asked for, else the contract's ``examples``. ``file`` ``-`` is stdin."""
    if record is not None:
        return parse(record, "--record")
    if file == "-":
        return parse(sys.stdin.read(), "standard input")
    if file is not None:
        return parse(text_of(Path(file)), file)
    return list(examples)


def text_of(file: Path) -> str:
    """Read a file, or say why it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(str(error), str(file), "give a file with records as JSON, or - for stdin") from error


def body(records: Sequence[Any]) -> bytes:
    """Give the request body for ``records``; half a surrogate pair goes out as it came in, escaped."""
    text = json.dumps({"records": list(records)}, ensure_ascii=False, separators=(", ", ": "))
    return text.encode(errors="backslashreplace")
