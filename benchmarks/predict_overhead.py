"""What the predict function adds to the model: its whole handler against `session.run` of the same rows.

    python -m benchmarks.predict_overhead FOLDER [--rounds 3000] [--publish]

FOLDER holds a bundle: ``manifest.json`` and the graphs that it names. Handler and `session.run` (the Python
binding's, one thread, on prepared arrays) take turns in one process; the log line is really written, into a
pipe. The medians are compared: ratios hold from machine to machine, microseconds do not.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import struct
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.charts import Chart, Limit
from benchmarks.page import Section, publish
from benchmarks.rounds import Spread, spread
from functions.predict.bundle import Bundle, open_bundle
from functions.predict.core import Core
from functions.predict.layout import Layout
from functions.predict.request import PROBABILITIES, RECORDS
from functions.predict.routes import PREDICT, Service
from functions.predict.settings import Settings

Work = Callable[[], Any]
Record = dict[str, Any]
MANY = 64
IN_A_ROW = 8
"""Calls of one kind in a round. The first finds the caches full of others and is not counted."""
HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "Authorization": "Bearer " + "x" * 900,
    "Host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
    "User-Agent": "python-requests/2.32",
    "X-Amzn-Trace-Id": "Root=1-67a0-0123456789abcdef",
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}
"""What API Gateway hands on beside the caller's own content type."""


@dataclass(frozen=True)
class Case:
    """One kind of request, and what it may cost: ``handler`` against the sum and the unit named."""

    name: str
    handler: str
    floor: str
    unit: str
    limit: float | None
    added: bool = False
    """Whether the limit is on what the handler adds to ``floor``, in ``unit``s; else on all it takes."""


CASES = (
    Case("1 record, JSON: added", "1 json", "run single", "run unfused 1", 0.4, added=True),
    Case("64 records, JSON objects", "64 json", "run batch", "run batch", 3.3),
    Case("64 records, JSON columns", "64 columns", "run batch", "run batch", 2.5),
    Case("64 records, binary", "64 binary", "run batch", "run batch", 1.5),
    Case("64 records, binary, answered in JSON", "64 binary to json", "run batch", "run batch", None),
    Case("64 records, JSON objects, gzip unpacked here", "64 gzip", "run batch", "run batch", None),
    Case("64 records, JSON objects, one with a warning", "64 warned", "run batch", "run batch", None),
)


def main() -> None:
    """Time every kind of request, write the table and, if asked to, the page's section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3000)
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md too")
    asked = parser.parse_args()
    bundle = open_bundle(asked.folder)
    if bundle is None:
        raise SystemExit(f"{asked.folder} holds no manifest.json: name the folder of a bundle.")
    times = measure(works(asked.folder, bundle), asked.rounds)
    for name, nanoseconds in times.items():
        sys.stdout.write(f"{name:20} {median(nanoseconds) / 1000:8.1f} µs\n")
    found = {case: ratio(case, times) for case in CASES}
    for case, value in found.items():
        limit = "" if case.limit is None else f"   bar ≤ {case.limit}"
        sys.stdout.write(f"{case.name:46} {value.median:5.2f} ×{limit}\n")
    if asked.publish:
        publish(section(found, times, bundle))


def works(folder: Path, bundle: Bundle) -> dict[str, Work]:
    """Return what is timed: the model alone on prepared arrays, and the handler on events of these rows."""
    records = full_records(bundle, MANY)
    rows = rows_of(bundle, records)
    single, batch = (
        session(folder / name) for name in (bundle.manifest.graphs.single, bundle.manifest.graphs.batch)
    )
    handler = partial(handle, service_of(bundle))
    bodies = events(bundle, records)
    return {
        "run single": lambda: single.run(None, {"rows": rows[:1]}),
        "run unfused 1": lambda: batch.run(None, {"rows": rows[:1]}),
        "run batch": lambda: batch.run(None, {"rows": rows}),
        **{name: partial(handler, event) for name, event in bodies.items()},
    }


def full_records(bundle: Bundle, count: int) -> list[Record]:
    """Return ``count`` records with every feature given: the examples, filled up from one another."""
    examples = [example.record for example in bundle.manifest.examples]
    everything: Record = {}
    for example in examples:
        everything |= {name: value for name, value in example.items() if value is not None}
    filled = [everything | example for example in examples]
    ordered = [
        {f.name: record[f.name] for f in bundle.manifest.features if f.name in record} for record in filled
    ]
    return list(islice(cycle(ordered), count))


def rows_of(bundle: Bundle, records: Sequence[Record]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the model's input for ``records``, made the careful way."""
    layout = Layout(bundle.manifest)
    memory = bytearray(layout.row.size * len(records))
    values = [tuple(record.get(feature.name) for feature in layout.features) for record in records]
    layout.fill(memoryview(memory), values)
    return np.frombuffer(memory, np.float32).reshape(len(records), -1)


def session(file: Path) -> onnxruntime.InferenceSession:
    """Return the graph in ``file`` on one thread, as the function runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def service_of(bundle: Bundle) -> Service:
    """Return the function's service, its log going into a pipe that nobody waits for.

    Raises SystemExit where the service would be slower than it is when deployed.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def write(line: bytes) -> None:
        os.write(writer, line)
        _pending.append(reader)

    settings = Settings(bundle=Path(), environment="benchmark", workload=bundle.manifest.workload)
    core = Core(bundle)
    if core.slow:
        raise SystemExit(core.slow)
    return Service(settings, core, write)


_pending: list[int] = []


def drain() -> None:
    """Empty the pipe that was written to, outside of what is timed."""
    if _pending:
        os.read(_pending[0], 65536)
        _pending.clear()


def handle(service: Service, event: dict[str, Any]) -> None:
    """Answer one event; raise RuntimeError unless the answer is 200."""
    response = service.answer(event, None)
    if response["statusCode"] != 200:
        raise RuntimeError(response["body"])


def events(bundle: Bundle, records: list[Record]) -> dict[str, dict[str, Any]]:
    """Return an event for each kind of request."""
    objects = json.dumps({"records": records})
    columns = json.dumps({"columns": {name: [record[name] for record in records] for name in records[0]}})
    binary = b64encode(encode(bundle, records)).decode()
    warned = json.dumps({"records": [*records[:-1], unusual(bundle, records[-1])]})
    zipped = b64encode(gzip.compress(objects.encode())).decode()
    binary_headers = {"Content-Type": RECORDS, "Accept": PROBABILITIES}
    return {
        "1 json": event(bundle, json.dumps({"records": records[:1]})),
        "64 json": event(bundle, objects),
        "64 columns": event(bundle, columns),
        "64 binary": event(bundle, binary, encoded=True, **binary_headers),
        "64 binary to json": event(bundle, binary, encoded=True, **{"Content-Type": RECORDS}),
        "64 gzip": event(bundle, zipped, encoded=True, **{"Content-Encoding": "gzip"}),
        "64 warned": event(bundle, warned),
    }


def unusual(bundle: Bundle, record: Record) -> Record:
    """Return ``record`` with a value that training never saw or that is out of its bounds."""
    if bundle.manifest.inputs.categories:
        return record | {bundle.manifest.inputs.categories[0]: "never seen"}
    return record | {f.name: f.max + 1 for f in bundle.manifest.features if f.max is not None}


def event(bundle: Bundle, body: str, *, encoded: bool = False, **headers: str) -> dict[str, Any]:
    """Return API Gateway's proxy event of a request."""
    given = {**HEADERS, "Content-Type": "application/json", **headers}
    return {
        "resource": PREDICT,
        "path": f"/v1/models/{bundle.manifest.workload}/predict",
        "httpMethod": "POST",
        "headers": given,
        "multiValueHeaders": {name: [value] for name, value in given.items()},
        "queryStringParameters": None,
        "pathParameters": {"model": bundle.manifest.workload},
        "requestContext": {"requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef", "stage": "live"},
        "body": body,
        "isBase64Encoded": encoded,
    }


def encode(bundle: Bundle, records: Sequence[Record]) -> bytes:
    """Return ``records`` in the binary form: what docs/api.md shows a client to do."""
    numbers = [f.name for f in bundle.manifest.features if f.kind == "number"]
    categories = [f.name for f in bundle.manifest.features if f.kind == "category"]
    x = np.array([[record.get(name, math.nan) for name in numbers] for record in records], "<f4")
    columns = [np.unique([r.get(name) or "" for r in records], return_inverse=True) for name in categories]
    codes = np.stack([inverse for _, inverse in columns]).astype("<u2")
    texts = [text for values, _ in columns for text in values]
    head = struct.pack(f"<4sI{len(columns)}H", b"MRB1", len(records), *(len(values) for values, _ in columns))
    return head + x.tobytes() + codes.tobytes() + "\0".join(texts).encode()


def measure(works: Mapping[str, Work], rounds: int) -> dict[str, list[float]]:
    """Return the nanoseconds of each of ``works``, run in turn so that the machine's moods meet all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + rounds // 10):
        for name, work in works.items():
            taken = [timed(work) for _ in range(IN_A_ROW)]
            if turn >= rounds // 10:
                times[name].append(median(taken[1:]))
    return times


def timed(work: Work) -> int:
    """Return the nanoseconds of one call."""
    started = perf_counter_ns()
    work()
    taken = perf_counter_ns() - started
    drain()
    return taken


def ratio(case: Case, times: Mapping[str, Sequence[float]]) -> Spread:
    """Return what a request costs, as the median over blocks of rounds with an interval."""
    blocks = min(20, len(times[case.handler]))
    size = len(times[case.handler]) // blocks
    values = []
    for start in range(0, size * blocks, size):
        handler, floor, unit = (
            median(times[name][start : start + size]) for name in (case.handler, case.floor, case.unit)
        )
        values.append((handler - floor if case.added else handler) / unit)
    return spread(values)


def section(found: Mapping[Case, Spread], times: Mapping[str, Sequence[float]], bundle: Bundle) -> Section:
    """Return the section of the page."""
    columns = len(bundle.manifest.inputs.numbers) + len(bundle.manifest.inputs.categories)
    medians = {name: median(values) / 1000 for name, values in times.items()}
    rows = tuple(
        (
            case.name,
            f"{value.median:.2f} × ({value.low:.2f}–{value.high:.2f})",
            "" if case.limit is None else f"≤ {case.limit}",
            f"{medians[case.handler]:.1f}",
            f"{medians[case.floor]:.1f}",
        )
        for case, value in found.items()
    )
    bars = tuple(
        value.bar(case.name, None if case.limit is None else Limit("≤", case.limit))
        for case, value in found.items()
    )
    return Section(
        key="predict",
        title="The prediction path",
        command="python -m benchmarks.predict_overhead FOLDER --publish",
        prose=(
            f"The whole handler, from API Gateway's event to its answer, log line included, against "
            f"`session.run` of ONNX Runtime's Python binding on prepared arrays ({columns} columns, one "
            "thread). Of one record it is what the handler adds to the folded graph that is counted, in "
            f"units of the unfolded graph's run ({medians['run unfused 1']:.1f} µs here). Every record has "
            "every feature. The compiled kernel reads them. Binary requests are answered in binary unless "
            "the row says otherwise. The handler calls the engine through its C interface, so it can be "
            f"faster than the run it is compared with. Kinds take turns, {IN_A_ROW} calls each; the first, "
            "which finds the processor's caches full of another kind, is not counted: alternating with every "
            "call, all cost more."
        ),
        header=("request", "ratio", "bar", "handler µs", "`session.run` µs"),
        rows=rows,
        charts=(Chart(title="Handler against session.run", unit="×", bars=bars),),
    )


if __name__ == "__main__":
    main()
