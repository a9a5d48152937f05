"""How training scales, how long it waits for data, and what a GPU makes of it.

    python -m benchmarks.training [--run FOLDER] [--rounds 7] [--device cpu|cuda] [--publish]

FOLDER holds the ``examples`` and ``reports`` of a preprocessing run of flights; without it, flights are
preprocessed first. On the CPU: the training job with two processes, with one, and a plain PyTorch loop, all
with one thread for each process and as many rows in a process's batch. On a GPU: bf16 against fp32.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree
from statistics import median
from tempfile import TemporaryDirectory

import torch

from benchmarks import preprocessing
from benchmarks.charts import Bar, Chart, Limit
from benchmarks.others import Others, wait_for_quiet
from benchmarks.page import Section, measured, publish
from benchmarks.rounds import Spread, spread
from benchmarks.stretch import ROOT, stretch
from contract.load import workload
from local.executors.container import addresses, free_port
from local.executors.process import Process, wait

COMMAND = "make bench-training"
LIMIT_SECONDS = 600.0
EPOCHS = 3
"""Of each run; the first is not counted, it warms up."""
QUIET = 0.05
"""A round in which others used more than this share of the cores is measured again, if there is time."""
TWO, SIDE_BY_SIDE = "two processes", "two plain loops"
EFFICIENCY, WAITING = Limit("≥", 0.8), Limit("≤", 0.05)
PROSE = """
The training job as the laptop runs it: torchrun, DistributedDataParallel over gloo, one process for each of
two hosts that are this machine, against one process alone, and against a plain PyTorch loop of one process on
the same rows and model. Every process has one thread and {batch} rows in a batch. Efficiency is the rate of
two processes over twice that of one. What the machine itself loses when both its cores work, two plain loops
side by side tell, which share nothing: no job can do better than they. Waiting is the share of an epoch in
which the loop waits for its next batch. {rounds} rounds, the arms in turn; an epoch to warm up, then the
median of {epochs}. While one of these rounds was measured, others used at most {others:.0%} of the
cores{priority}.

What a GPU makes of it (`--device cuda`: bf16 against fp32) has **not** been measured: no GPU was at hand.
"""
GPU_PROSE = """
The training job on one GPU, multiplying in bf16 and in fp32, with {batch} rows in a batch; {rounds} rounds in
turn. How much the GPU works is what `nvidia-smi` says of it, the median over each run.
"""
log = logging.getLogger("benchmark")
FIGURE = re.compile(r"(\w+)=([0-9.eE+-]+)")


@dataclass(frozen=True)
class Job:
    """What is trained: a run's folder, rows in the batch of one process, and where the jobs' folders go."""

    run: Path
    batch: int
    folder: Path


@dataclass(frozen=True)
class Result:
    """One arm of one round: rows per second over all processes, and shares between 0 and 1."""

    rate: float
    waiting: float = 0.0
    working: float = 0.0


@dataclass(frozen=True)
class Round:
    """Each arm's result by its name, and the share of the cores that others used meanwhile."""

    results: dict[str, Result]
    others: float


Arm = Callable[[], Result]


def main() -> None:
    """Measure and publish."""
    asked = arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if asked.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "There is no GPU here that PyTorch can use: nothing was measured, nothing published."
        )
    with TemporaryDirectory(prefix="millrace-benchmark-") as made, preprocessed(asked.run, Path(made)) as run:
        job = Job(run.resolve(), asked.batch or workload("flights").model.training.batch_rows, Path(made))
        arms, make = (gpu(job), gpu_section) if asked.device == "cuda" else (cpu(job), section)
        rounds = measure(arms, asked.rounds, asked.tries * asked.rounds, asked.patience)
    found = make(rounds, job.batch)
    log.info("%s", "\n".join(" | ".join(row) for row in (found.header, *found.rows)))
    if asked.publish:
        publish(found)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, help="rows in the batch of one process; default: the contract's")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--tries", type=int, default=3, help="measure at most so many times the rounds")
    parser.add_argument("--patience", type=float, default=60, help="seconds to wait for a quiet machine")
    parser.add_argument("--publish", action="store_true", help="into docs/benchmarks.md")
    return parser.parse_args()


@contextmanager
def preprocessed(run: Path | None, folder: Path) -> Iterator[Path]:
    """Yield ``run``, or a run of the preprocessing job below ``folder`` where none was named."""
    if run is None:
        stretch(folder, 1)
        preprocessing.run(folder, 1)
        run = folder / "runs" / "benchmark"
    yield run


def measure(arms: Mapping[str, Arm], wanted: int, most: int, patience: float) -> list[Round]:
    """Return ``wanted`` rounds, those in which others used least of the cores, of ``most`` if need be.

    Each arm waits ``patience`` seconds at most for others to leave the machine alone.
    """
    rounds: list[Round] = []
    for turn in range(most):
        rounds.append(one_round(arms, turn, patience))
        if sum(one.others <= QUIET for one in rounds) == wanted:
            break
    return sorted(rounds, key=lambda one: one.others)[:wanted]


def one_round(arms: Mapping[str, Arm], turn: int, patience: float) -> Round:
    """Run every arm once, beginning with another one each turn."""
    names = list(arms)
    results, others = {}, []
    for name in names[turn % len(names) :] + names[: turn % len(names)]:
        wait_for_quiet(QUIET, patience)
        watched = Others()
        results[name] = arms[name]()
        others.append(watched.share())
        log.info(
            "round %d  %-14s %10.0f rows/s, waiting %.1f %%, others %.1f %%",
            *(turn + 1, name, results[name].rate, 100 * results[name].waiting, 100 * others[-1]),
        )
    return Round(results, max(others))


def cpu(job: Job) -> dict[str, Arm]:
    """Return the arms on the CPU."""
    return {
        "plain loop": lambda: plain(job),
        "one process": lambda: distributed(job, 1),
        TWO: lambda: distributed(job, 2),
        SIDE_BY_SIDE: lambda: plain(job, 2),
    }


def plain(job: Job, count: int = 1) -> Result:
    """Run the plain loop, ``count`` times at once."""
    module = ("benchmarks.plain_loop", str(job.run), "--batch", str(job.batch), "--epochs", str(EPOCHS))
    heard_apart = [list[str]() for _ in range(count)]
    processes = [start(module, {}, lines) for lines in heard_apart]
    found = heard(processes, *heard_apart)
    return Result(found.rate * count)


def distributed(job: Job, count: int) -> Result:
    """Run the training job on ``count`` hosts, all of them this machine, with a process each."""
    hosts, lines = addresses(count), list[str]()
    meeting = {"MASTER_PORT": str(free_port())}
    processes = []
    for host in hosts:
        base = job.folder / host
        lay_out(base, job, hosts, host, {"batch_rows": str(job.batch * count)})
        processes.append(
            start(("training.train.launch",), {**meeting, "SAGEMAKER_BASE_DIR": str(base)}, lines)
        )
    return heard(processes, lines)


def lay_out(base: Path, job: Job, hosts: list[str], host: str, hyperparameters: dict[str, str]) -> None:
    """Make the folders of a training job that begins anew on ``host``."""
    rmtree(base, ignore_errors=True)
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "data").mkdir()
    for channel in ("examples", "reports"):
        (base / "input" / "data" / channel).symlink_to(job.run / channel)
    given = {"workload": "flights", "run": "benchmark", "epochs": str(EPOCHS), "patience": str(EPOCHS)}
    files = {
        "resourceconfig": {"current_host": host, "hosts": hosts, "network_interface_name": "lo"},
        "hyperparameters": {**given, **hyperparameters},
    }
    for name, content in files.items():
        (base / "input" / "config" / f"{name}.json").write_text(json.dumps(content))


def start(module: tuple[str, ...], environment: dict[str, str], lines: list[str]) -> Process:
    """Start a Python module with one thread; what it says goes to ``lines``."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}
    return Process(
        [sys.executable, "-m", *module],
        environment={**os.environ, **threads, **environment},
        folder=ROOT,
        stdout=lines.append,
        stderr=lines.append,
    )


def heard(processes: list[Process], *told: list[str]) -> Result:
    """Wait for ``processes``; return what they told of their epochs, a list of lines for each rank that does.

    Raises RuntimeError if one fails.
    """
    try:
        ending = wait(processes, seconds=LIMIT_SECONDS, stopped=lambda: False, tick=lambda: None)
    except KeyboardInterrupt:
        for process in processes:
            process.kill()
        raise
    codes = [process.close() for process in processes]
    if any(codes) or ending.how != "ended":
        last = [line for lines in told for line in lines[-30:]]
        raise RuntimeError(f"a training run {ending.how}:\n" + "\n".join(last))
    return result(*told)


def result(*told: list[str]) -> Result:
    """Return the medians of all epochs but the first of each."""
    metrics = ([line for line in lines if line.startswith("millrace ")][1:] for lines in told)
    epochs = [dict(FIGURE.findall(line)) for lines in metrics for line in lines]
    return Result(
        rate=median(float(epoch["rows_per_second"]) for epoch in epochs),
        waiting=median(float(epoch.get("waiting_for_data", 0)) for epoch in epochs),
    )


def section(rounds: list[Round], batch: int) -> Section:
    """Return what was found on the CPU, as a section of the page."""
    rates = by_arm(rounds, lambda one: one.rate)
    efficiency = {name: efficiency_over(rounds, name) for name in rates if name not in (TWO, SIDE_BY_SIDE)}
    ceiling = efficiency_over(rounds, "plain loop", SIDE_BY_SIDE)
    waiting = by_arm(rounds, lambda one: one.waiting)
    for name in ("plain loop", SIDE_BY_SIDE):
        del waiting[name]  # they do not say
    return Section(
        key="training",
        title="Training with two processes",
        command=COMMAND,
        prose=PROSE.format(
            batch=batch,
            rounds=len(rounds),
            epochs=EPOCHS - 1,
            others=max(one.others for one in rounds),
            priority=priority(),
        ),
        header=("arm", "rows per second", "waiting for data", "two processes over twice this"),
        rows=tuple(
            (name, cell(rates[name]), share(waiting.get(name)), cell(efficiency.get(name))) for name in rates
        ),
        charts=(
            Chart(title="Efficiency of two processes", bars=tuple(efficiencies(efficiency, ceiling))),
            Chart(
                title="Share of an epoch spent waiting for data",
                bars=tuple(found.bar(name, WAITING) for name, found in waiting.items()),
            ),
            Chart(title="Rate", unit="rows per second", bars=tuple(bar(rates))),
        ),
    )


def priority() -> str:
    """Return what is to be said of the priority that this process, and what it starts, was given."""
    ordinary = os.sched_getscheduler(0) == os.SCHED_OTHER if hasattr(os, "sched_getscheduler") else True
    return "" if ordinary else ", and all that was measured ran before them (with real-time priority)"


def efficiencies(efficiency: Mapping[str, Spread], ceiling: Spread) -> Iterator[Bar]:
    """Yield the efficiency over each reference, and what this machine leaves of two processes in any case."""
    for name, found in efficiency.items():
        yield found.bar(f"against twice the {name}", EFFICIENCY)
    yield ceiling.bar(f"of {SIDE_BY_SIDE}, against twice the plain loop")


def bar(rates: Mapping[str, Spread]) -> Iterator[Bar]:
    """Yield each arm's rate."""
    for name, rate in rates.items():
        yield rate.bar(name)


def by_arm(rounds: list[Round], figure: Callable[[Result], float]) -> dict[str, Spread]:
    """Return the spread of a figure over the rounds, for each arm."""
    return {name: spread([figure(one.results[name]) for one in rounds]) for name in sorted(rounds[0].results)}


def efficiency_over(rounds: list[Round], name: str, two: str = TWO) -> Spread:
    """Return the rate of the arm ``two`` over twice that of arm ``name``."""
    pairs = ((one.results[two], one.results[name]) for one in rounds)
    return spread([two.rate / (2 * reference.rate) for two, reference in pairs])


def cell(found: Spread | None) -> str:
    """Return a median with its interval, or a dash."""
    if found is None:
        return "–"
    return measured(found.bar(""))


def share(found: Spread | None) -> str:
    """Return a share's median in percent, or a dash."""
    return "–" if found is None else f"{found.median:.1%}"


def gpu(job: Job) -> dict[str, Arm]:
    """Return the arms on a GPU."""
    return {precision: partial(on_gpu, job, precision) for precision in ("bf16", "fp32")}


def on_gpu(job: Job, precision: str) -> Result:
    """Run the training job on one GPU, and see how much it works meanwhile."""
    base, lines, used = job.folder / precision, list[str](), list[str]()
    lay_out(base, job, ["algo-1"], "algo-1", {"batch_rows": str(job.batch), "precision": precision})
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    watching = Process(
        query, environment={**os.environ}, folder=ROOT, stdout=used.append, stderr=lines.append
    )
    alone = {"CUDA_VISIBLE_DEVICES": "0", "MASTER_PORT": str(free_port()), "SAGEMAKER_BASE_DIR": str(base)}
    try:
        found = heard([start(("training.train.launch",), alone, lines)], lines)
    finally:
        watching.kill()
        watching.close()
    working = median(float(line) for line in used if line.strip().isdigit()) / 100
    return Result(found.rate, found.waiting, working)


def gpu_section(rounds: list[Round], batch: int) -> Section:
    """Return what was found on a GPU, as a section of the page."""
    rates = by_arm(rounds, lambda one: one.rate)
    waiting, working = by_arm(rounds, lambda one: one.waiting), by_arm(rounds, lambda one: one.working)
    gain = spread([one.results["bf16"].rate / one.results["fp32"].rate for one in rounds])
    return Section(
        key="training_gpu",
        title=f"Training on a GPU: {torch.cuda.get_device_name(0)}",
        command="python -m benchmarks.training --device cuda --publish",
        prose=GPU_PROSE.format(batch=batch, rounds=len(rounds)),
        header=("arm", "rows per second", "waiting for data", "the GPU works"),
        rows=tuple((name, cell(rates[name]), share(waiting[name]), share(working[name])) for name in rates),
        charts=(
            Chart(title="bf16 over fp32", bars=(gain.bar("rows per second"),)),
            Chart(title="Rate", unit="rows per second", bars=tuple(bar(rates))),
        ),
    )


if __name__ == "__main__":
    main()
