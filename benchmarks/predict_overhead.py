"""What the predict function adds to the model: its whole handler against `session.run` of the same rows.

    python -m benchmarks.predict_overhead FOLDER

FOLDER holds a bundle's ``model.onnx`` and ``manifest.json``. The two are timed in turn, in one process, and
the medians of the rounds are compared: ratios hold from machine to machine, microseconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np

from functions.predict.bundle import Bundle, open_bundle
from functions.predict.decode import Decoder
from functions.predict.routes import Service
from functions.predict.settings import Settings

SIZES = (1, 64)
Work = Callable[[], Any]


def main() -> None:
    """Time every size and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=2000)
    asked = parser.parse_args()
    bundle = open_bundle(asked.folder)
    if bundle is None:
        raise SystemExit(f"{asked.folder} holds no manifest.json: name the folder of a bundle.")
    sys.stdout.write("records  session.run µs  handler µs  ratio\n")
    for size in SIZES:
        floor, whole = compare(*workloads(bundle, size), asked.rounds)
        sys.stdout.write(f"{size:7}  {floor:14.1f}  {whole:10.1f}  {whole / floor:5.2f}\n")


def workloads(bundle: Bundle, size: int) -> tuple[Work, Work]:
    """Return the model alone on prepared arrays, and the handler on an event of the same ``size`` records."""
    manifest = bundle.manifest
    records = list(islice(cycle([example.record for example in manifest.examples]), size))
    body = json.dumps({"records": records})
    rows = Decoder(manifest).rows(body.encode())
    width = len(manifest.ordered("number"))
    numbers = np.array([row[:width] for row in rows], dtype=np.float32)
    feeds = bundle.feeds(numbers, [[value or "" for value in row[width:]] for row in rows])
    service = Service(Settings(bundle=Path(), environment="benchmark", workload=manifest.workload), bundle)
    event = {
        "resource": "/v1/models/{model}/predict",
        "headers": {"Content-Type": "application/json"},
        "pathParameters": {"model": manifest.workload},
        "requestContext": {"requestId": "benchmark"},
        "body": body,
    }
    return lambda: bundle.run(feeds), lambda: service.answer(event, None)


def compare(floor: Work, whole: Work, rounds: int) -> tuple[float, float]:
    """Return the median microseconds of both, run in turn so that the machine's moods meet both alike."""
    times: tuple[list[int], list[int]] = ([], [])
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        for _ in range(rounds):
            for work, spent in zip((floor, whole), times, strict=True):
                started = perf_counter_ns()
                work()
                spent.append(perf_counter_ns() - started)
    return median(times[0]) / 1000, median(times[1]) / 1000


if __name__ == "__main__":
    main()
