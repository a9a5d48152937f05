"""What the preprocessing job leaves behind for a workload of parcels, made without Spark."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.workload_factory import make_workload

MADE_AT = "2026-11-24T08:35:28Z"

KINDS = {
    "depot": "category",
    "region": "category",
    "weight": "number",
    "distance": "number",
    "express": "number",
    "depot_lateness": "number",
}
SIZES = {"train": 6000, "validate": 1501, "test": 1500}
DEPOTS = {"north": 1.0, "south": -0.3, "east": -0.8, "west": 0.6}
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Run:
    """One run's ``examples`` and ``reports`` and the folder of the workload's contract."""

    workload: Path
    examples: Path
    reports: Path


def make_run(folder: Path, kinds: dict[str, str] | None = None, seed: int = 3) -> Run:
    """Writes a run whose kept features are ``kinds`` (default all): the test split has an unseen depot."""
    kinds = KINDS if kinds is None else kinds
    run = Run(make_workload(folder / "workload", rows=1, seed=seed), folder / "examples", folder / "reports")
    run.reports.mkdir(parents=True)
    splits = {}
    rng = random.Random(seed)
    for split, rows in SIZES.items():
        table = examples(rng, rows, unseen=split == "test")
        write_split(run.examples / f"split={split}", table)
        splits[split] = profile(table, kinds)
    kept = [{"name": name, "kind": kind} for name, kind in kinds.items()]
    write_json(run.reports / "features.json", {"features": kept, "dropped": []})
    write_json(
        run.reports / "profile.json",
        {
            "workload": "parcels",
            "run": "r1",
            "made_at": MADE_AT,
            "contract_sha256": "0" * 64,
            "splits": splits,
        },
    )
    return run


def write_json(file: Path, document: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def write_split(folder: Path, table: pa.Table) -> None:
    """Writes two files of several row groups, their border somewhere that no share of rows begins."""
    folder.mkdir(parents=True)
    border = table.num_rows // 3
    pq.write_table(table.slice(0, border), folder / "part-0.parquet", row_group_size=700)
    pq.write_table(table.slice(border), folder / "part-1.parquet", row_group_size=1300)


def examples(rng: random.Random, rows: int, unseen: bool) -> pa.Table:
    columns = {name: pa.float32() if kind == "number" else pa.string() for name, kind in KINDS.items()}
    schema = pa.schema({"example_id": pa.string(), "label": pa.float64(), **columns})
    return pa.Table.from_pylist([example(rng, number, unseen) for number in range(rows)], schema=schema)


def example(rng: random.Random, number: int, unseen: bool) -> dict[str, Any]:
    depot = "harbour" if unseen and number % 50 == 0 else rng.choice(list(DEPOTS))
    weight = rng.expovariate(0.2) if rng.random() > 0.1 else None
    distance = rng.randint(5, 2000)
    express = float(rng.random() < 0.3)
    burden = DEPOTS.get(depot, 0) + (distance - 1000) / 700 - 1.2 * express + math.log1p(weight or 5) / 3
    return {
        "example_id": f"p{number}",
        "label": float(burden + rng.gauss(0, 1.2) > 1),
        "depot": depot,
        "region": None if depot == "west" else "upland" if depot == "north" else "lowland",
        "weight": weight,
        "distance": distance,
        "express": express,
        "depot_lateness": burden + rng.gauss(0, 3) if rng.random() > 0.05 else None,
    }


def profile(table: pa.Table, kinds: dict[str, str]) -> dict[str, Any]:
    features = {
        name: number_profile(table[name]) if kind == "number" else category_profile(table[name])
        for name, kind in kinds.items()
    }
    positives = int(np.sum(table["label"].to_numpy()))
    return {"rows": table.num_rows, "positives": positives, "features": features}


def number_profile(column: pa.ChunkedArray) -> dict[str, Any]:
    values = column.drop_null().to_numpy()
    quantiles = {str(share): float(np.quantile(values, share)) for share in QUANTILES}
    return {
        "kind": "number",
        "nulls": column.null_count,
        "mean": float(values.mean()),
        "std": float(values.std()),
        "min": float(values.min()),
        "max": float(values.max()),
        "quantiles": quantiles,
    }


def category_profile(column: pa.ChunkedArray) -> dict[str, Any]:
    counts = column.drop_null().value_counts().to_pylist()
    values = {entry["values"]: entry["counts"] for entry in sorted(counts, key=lambda e: -e["counts"])}
    return {"kind": "category", "nulls": column.null_count, "values": values, "other": 0}
