"""The server's log, and who reads it."""

from __future__ import annotations

import os
import sys

import pytest

from server.log import Log


def test_given_nobody_who_takes_the_log_any_more_then_the_server_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "w") as nobodys:
        monkeypatch.setattr(sys, "stdout", nobodys)
        Log().info("a line that is lost")
