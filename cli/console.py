"""What a command says while it works: timestamped lines, and a sign of life at least every 5 s.

Progress goes to stderr, results to stdout, so that a result can be piped.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 400
"""Columns of a table that is not written to a terminal, so that no cell is broken."""
SILENCE = 4.0
"""Seconds without a line after which a sign of life is given."""


def clock(moment: datetime | None = None) -> str:
    """Give a moment (now, if none) as local time with seconds."""
    return (moment or datetime.now().astimezone()).astimezone().strftime("%H:%M:%S")


def stamp(moment: datetime) -> str:
    """Give a moment as local date and time with seconds."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Give seconds as a person would say them: ``7 s``, ``2 min 05 s``, ``3 h 10 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} days"


def bytes_text(number: float) -> str:
    """Give a number of bytes in the unit that fits."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def rich_console(*, stderr: bool = True) -> Console:
    """Make a console that leaves text as it is; colours only on a terminal, and not with NO_COLOR."""
    from rich.console import Console  # noqa: PLC0415 - help does without it

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


@dataclass
class Activity:
    """What is going on at this moment; ``text`` may be changed while it goes on."""

    text: str
    started: float = field(default_factory=time.monotonic)

    def become(self, text: str, seconds: float) -> None:
        """Turn into another activity that has already taken ``seconds``."""
        self.text, self.started = text, time.monotonic() - seconds

    def line(self) -> str:
        """Give the activity and how long it has taken."""
        return f"{self.text} · {duration(time.monotonic() - self.started)}"


class Voice:
    """Says what happens, line by line, and shows a sign of life in between."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or rich_console()
        self.last = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """Write one line with the time before it."""
        self.console.print(f"{clock()}  {text}", style=style or None)
        self.last = time.monotonic()

    def write(self, text: str = "") -> None:
        """Write text as it is."""
        self.console.print(text)
        self.last = time.monotonic()

    @contextmanager
    def busy(self, text: str) -> Iterator[Activity]:
        """Show that ``text`` goes on: a spinner on a terminal, else a line every few seconds of silence."""
        activity = Activity(text)
        done = threading.Event()
        show = self.spin if self.console.is_terminal else self.beat
        thread = threading.Thread(target=show, args=(activity, done), daemon=True)
        thread.start()
        try:
            yield activity
        finally:
            done.set()
            thread.join()

    def spin(self, activity: Activity, done: threading.Event) -> None:
        """Keep a spinner up to date until ``done``."""
        from rich.live import Live  # noqa: PLC0415 - help does without it
        from rich.spinner import Spinner  # noqa: PLC0415

        spinner = Spinner("dots", activity.line()[: self.console.width - 3])
        # A result that is piped must reach the pipe; one on the terminal must not run into the spinner.
        shared = sys.stdout.isatty()
        with Live(spinner, console=self.console, transient=True, redirect_stdout=shared):
            while not done.wait(0.5):
                spinner.update(text=activity.line()[: self.console.width - 3])

    def beat(self, activity: Activity, done: threading.Event) -> None:
        """Write a line whenever nothing has been said for `SILENCE` seconds, until ``done``."""
        while not done.wait(0.25):
            if time.monotonic() - self.last >= SILENCE:
                self.say(f"… {activity.line()}")


def result(text: str) -> None:
    """Write a command's result to stdout as it is."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def table(*columns: str) -> Table:
    """Make a table without lines: plain when copied."""
    from rich.table import Table  # noqa: PLC0415 - help does without it

    plain = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        plain.add_column(column, overflow="fold")
    return plain


def show_table(rows: Table) -> None:
    """Write a table to stdout: as wide as the terminal, or as it needs where there is none."""
    console = rich_console(stderr=False)
    if not console.is_terminal:
        console.width = WIDE
    with console.capture() as captured:
        console.print(rows, soft_wrap=False)
    result("\n".join(line.rstrip() for line in captured.get().splitlines()))
