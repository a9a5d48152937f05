"""Flights' years after each other: more rows of the same kind, as a business would have them in later years.

Copy i of the tables that have a time is moved i years on; planes, airports and airlines stay as they are. The
contract moves with them: bounds of years, the rule on the number of flights, and the splits' periods, so that
each split holds the same share of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from cli.raw_tables import RawFile, find, installed
from contract.load import CONTRACT, FEATURES, workload

FIRST_YEAR = 2013
ROOT = Path(__file__).parents[1]


def stretch(folder: Path, times: int) -> Path:
    """Write raw tables of ``times`` years and their contract below ``folder``; return the raw tables' folder.

    Raises ValueError where the contract is no longer what this knows how to stretch.
    """
    contract = workload("flights")
    for file in find(contract.tables, installed(contract.source)):
        place = folder / "raw" / file.table
        place.mkdir(parents=True, exist_ok=True)
        columns = contract.tables[file.table].columns
        for later in range(times if "time_hour" in columns else 1):
            _copy(file, place / f"{FIRST_YEAR + later}.csv", later)
    _write_contract(folder / "flights", times)
    return folder / "raw"


def _copy(file: RawFile, target: Path, later: int) -> None:
    with ExitStack() as stack:
        lines = stack.enter_context(file.open())
        written = stack.enter_context(target.open("w"))
        written.writelines(moved((line.decode() for line in lines), later))


def moved(lines: Iterator[str], later: int) -> Iterator[str]:
    """Yield CSV ``lines``, the header first, with ``year`` and ``time_hour`` moved ``later`` years on.

    A file without ``time_hour`` has no time of its own (a plane's year is when it was built) and stays.
    """
    header = next(lines)
    yield header
    names = header.strip().split(",")
    if not later or "time_hour" not in names:
        yield from lines
        return
    year, hour = names.index("year"), names.index("time_hour")
    for line in lines:
        fields = line.split(",")
        fields[year] = str(int(fields[year]) + later)
        fields[hour] = str(int(fields[hour][:4]) + later) + fields[hour][4:]
        yield ",".join(fields)


def _write_contract(folder: Path, times: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    source = ROOT / "workloads" / "flights"
    (folder / CONTRACT).write_text(stretched((source / CONTRACT).read_text(), times))
    (folder / FEATURES).write_text((source / FEATURES).read_text())


def stretched(contract: str, times: int) -> str:
    """Return the text of flights' contract for ``times`` years. Raises ValueError."""
    for pattern, renewed in _changes(times).items():
        contract, changed = re.subn(pattern, renewed, contract)
        if not changed:
            raise ValueError(
                f"workloads/flights/{CONTRACT} has nothing like {pattern!r} any more: "
                "bring benchmarks/stretch.py in line with it"
            )
    return contract


def _changes(times: int) -> dict[str, Callable[[re.Match[str]], str]]:
    def month(match: re.Match[str]) -> str:
        years, months = divmod(times * (int(match[2]) - 1 + 12 * (int(match[1]) - FIRST_YEAR)), 12)
        return f"{FIRST_YEAR + years}-{months + 1:02}-{match[3]}"

    return {
        rf"max = {FIRST_YEAR}\b": lambda _: f"max = {FIRST_YEAR + times - 1}",
        r"(min|max) = ([34]00000)\b": lambda match: f"{match[1]} = {int(match[2]) * times}",
        r"\b(201[34])-(\d\d)-(\d\d)(?=[ ,}])": month,
    }
