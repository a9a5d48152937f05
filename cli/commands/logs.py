"""`millrace logs`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from cli.console import Voice, duration, result, stamp
from cli.errors import CliError
from cli.job_lines import identity, read
from cli.log_sources import PARTS, sources
from cli.session import session

if TYPE_CHECKING:
    from cli.session import Session

LONGEST = timedelta(days=3653)
"""Ten years: CloudWatch keeps no log that was given a limit for longer."""
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Line = tuple[int, str, str]
"""Milliseconds since 1970, the part that wrote it, the text."""


def logs(
    part: str = "all",
    /,
    *,
    env: str | None = None,
    workload: str | None = None,
    since: str = "1h",
    follow: bool = False,
) -> None:
    """Show logs as one stream, each line with its time and the part that wrote it.

    :param part: preprocess, train, package, release, predict or endpoint; all of them, if not given
    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param since: how far back: 30s, 15m, 2h or 1d
    :param follow: go on showing what comes, until ctrl-C
    """
    here = session(env, workload)
    parts = chosen(part)
    start = int((datetime.now(UTC) - age(since)).timestamp() * 1000)
    seen: set[str] = set()
    voice = Voice()
    with voice.busy("reading the logs"):
        found = fresh(here, parts, start, seen)
    shown = show(found)
    if follow:
        keep_showing(here, voice, parts, start, seen)
    elif not shown:
        voice.say(f"no log lines of {', '.join(parts)} in the last {duration(age(since).total_seconds())}")


def chosen(part: str) -> Sequence[str]:
    """Give the parts to show.

    Raises `CliError` for one that does not exist.
    """
    if part == "all":
        return list(PARTS)
    if part not in PARTS:
        raise CliError(f"there are no logs of {part!r}", "millrace logs", f"name one of {', '.join(PARTS)}")
    return (part,)


def age(text: str) -> timedelta:
    """Read an age such as ``15m``.

    Raises `CliError` for what is none.
    """
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if match is None:
        raise CliError(f"{text!r} is not an age", "--since", "write 30s, 15m, 2h or 1d")
    try:
        return min(timedelta(**{UNITS[match[2]]: int(match[1])}), LONGEST)
    except (OverflowError, ValueError):
        return LONGEST


def fresh(here: Session, parts: Sequence[str], start: int, seen: set[str]) -> Iterator[Line]:
    """Give the lines since ``start`` that were not given before, all parts in one, by time."""
    lines: list[Line] = []
    for part in parts:
        events = [event for source in sources(here, part) for event in read(here, source, start)]
        lines += [line(part, event) for event in events if identity(event) not in seen]
        seen.update(map(identity, events))
    return iter(sorted(lines, key=itemgetter(0)))


def line(part: str, event: Mapping[str, Any]) -> Line:
    """Give the line of a log event."""
    return event["timestamp"], part, event["message"].rstrip()


def show(lines: Iterator[Line]) -> int:
    """Print lines and give their number."""
    count = 0
    for moment, part, text in lines:
        result(f"{stamp(datetime.fromtimestamp(moment / 1000, UTC))}  {part:<10}  {text}")
        count += 1
    return count


def keep_showing(here: Session, voice: Voice, parts: Sequence[str], start: int, seen: set[str]) -> None:
    """Print what comes, until the user stops it; late lines of the last minute are shown too."""
    with voice.busy("waiting for more, ctrl-C ends"):
        while True:
            late = int((datetime.now(UTC) - timedelta(minutes=1)).timestamp() * 1000)
            if show(fresh(here, parts, max(start, late), seen)):
                voice.last = time.monotonic()
            time.sleep(1 if here.local else 3)
