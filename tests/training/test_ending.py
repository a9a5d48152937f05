"""A training process whose work is done ends at once."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import atexit
from training.train.ending import leave
atexit.register(print, "libraries taken down")
print("trained")
leave()
"""


def test_given_work_that_is_done_when_left_then_all_is_said_and_no_library_is_taken_down() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (0, "trained\n"), ended.stderr
