"""Processor time and memory of a process and all that it started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.servers.processes import Process, memory, parse, processor_seconds, tree

WORK = "import time\nwhile time.process_time() < 0.15: pass\n"
TOY = f"""
import subprocess, sys
hold = subprocess.Popen([sys.executable, "-Sc", {WORK!r} + "print('worked', flush=True)\\ninput()"],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
hold.stdout.readline()
print("one lives", flush=True)
input()
subprocess.run([sys.executable, "-Sc", {WORK!r}])
print("one has ended", flush=True)
input()
hold.stdin.close()
hold.wait()
"""


@pytest.fixture
def toy() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-Sc", TOY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    with process:
        yield process
        process.stdin.close()


def test_a_childs_work_counts_while_it_lives_and_after_it_has_ended(toy: subprocess.Popen[str]) -> None:
    assert toy.stdin
    assert toy.stdout
    assert toy.stdout.readline() == "one lives\n"
    living = processor_seconds(toy.pid)
    toy.stdin.write("\n")
    toy.stdin.flush()
    assert toy.stdout.readline() == "one has ended\n"
    both = processor_seconds(toy.pid)
    toy.stdin.write("\n")
    assert living >= 0.15
    assert both - living >= 0.14  # /proc rounds what ended children took


def test_memory_is_that_of_the_whole_tree(toy: subprocess.Popen[str]) -> None:
    assert toy.stdout
    toy.stdout.readline()
    assert 1e6 < memory(toy.pid) < 1e9


def test_a_process_that_is_not_there_uses_nothing() -> None:
    assert processor_seconds(2**22 + 1) == memory(2**22 + 1) == 0


def test_a_line_of_proc_is_read_whatever_the_command_is_called() -> None:
    line = "42 (a) b (c) R 7 " + " ".join(str(number) for number in range(5, 25))
    found = parse(line)
    assert (found.pid, found.parent, found.started) == (42, 7, 22)
    assert (found.own, found.ended) == pytest.approx(((14 + 15) / 100, (16 + 17) / 100))


def test_a_tree_is_the_root_and_all_below_it() -> None:
    parents = {1: 0, 2: 1, 3: 1, 4: 2, 5: 4, 9: 8}
    among = {pid: Process(pid=pid, parent=up, own=0, ended=0, started=0) for pid, up in parents.items()}
    assert [process.pid for process in tree(2, among)] == [2, 4, 5]
    assert tree(7, among) == []
