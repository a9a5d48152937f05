from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from cli import console
from cli.console import Voice, bytes_text, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (65, "1 min 05 s"), (7260, "2 h 01 min"), (3 * 86400, "3 days")],
)
def test_durations_read_as_a_person_would_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(7, "7 B"), (31_000_000, "31.0 MB"), (2.5e9, "2.5 GB")])
def test_bytes_have_a_fitting_unit(number: float, text: str) -> None:
    assert bytes_text(number) == text


def test_a_silent_activity_gives_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SILENCE", 0.2)
    written = io.StringIO()
    voice = Voice(Console(file=written, force_terminal=False))
    with voice.busy("training") as activity:
        wait_for("training", written)
        activity.become("packaging", 61)
        wait_for("packaging", written)
    lines = written.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  … ", line) for line in lines)
    assert re.search(r"training · \d+ s$", lines[0])
    assert re.search(r"packaging · 1 min \d\d s$", lines[-1])


def wait_for(text: str, written: io.StringIO) -> None:
    """Wait until a sign of life has named ``text``, however slow the machine is."""
    limit = time.monotonic() + 60
    while f"{text} · " not in written.getvalue():
        assert time.monotonic() < limit, f"no sign of life of {text}: {written.getvalue()!r}"
        time.sleep(0.02)


def test_text_is_written_as_it_is_without_colours_when_not_on_a_terminal() -> None:
    written = io.StringIO()
    voice = Voice(Console(file=written, force_terminal=False, markup=False, highlight=False, soft_wrap=True))
    voice.say("[red]s3://lake/" + "x" * 200, style="bold")
    assert written.getvalue().rstrip("\n")[10:] == "[red]s3://lake/" + "x" * 200
