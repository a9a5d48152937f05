"""Makes a small workload that has nothing to do with flights: will a parcel arrive late?

The folder is complete (contract, features, raw files under ``raw/<table>/``), the signal is learnable
(an AUC of about 0.8 is within reach), and the same ``rows`` and ``seed`` give the same bytes.
"""

from __future__ import annotations

import csv
import math
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CONTRACT = """\
name = "parcels"
question = "Will the parcel arrive more than a day late?"

[source]
folder = "raw"

[tables.parcels]
file = "parcels.csv"
key = ["parcel_id"]
after_the_fact = ["days_late", "damaged"]

[tables.parcels.columns]
parcel_id = { type = "text", required = true }
posted_at = { type = "timestamp", required = true }
depot = { type = "text", required = true, spellings = { north = ["North", "NORTH"] } }
weight = { type = "number", min = 0, max = 100 }
distance = { type = "integer", required = true, min = 0, max = 5000 }
express = { type = "boolean", required = true }
days_late = { type = "number", min = -30, max = 365 }
damaged = { type = "boolean" }

[tables.depots]
file = "depots.csv"
key = ["depot"]

[tables.depots.columns]
depot = { type = "text", required = true }
region = { type = "text" }
workers = { type = "integer", min = 1, max = 1000 }

[example]
table = "parcels"
event_time = "posted_at"

[label]
sql = "days_late > 1"

[split]
train = { start = 2024-01-01, end = 2024-09-01 }
validate = { start = 2024-09-01, end = 2024-11-01 }
test = { start = 2024-11-01, end = 2025-01-01 }

[selection]
redundant_above = 0.98

[[quality]]
name = "depots are known"
table = "examples"
sql = "avg(if(region is null, 1, 0))"
max = 0.05

[features.depot]
kind = "category"
required = true
meaning = "The depot that takes the parcel in"
spellings_of = "parcels.depot"

[features.region]
kind = "category"
meaning = "The depot's region"

[features.weight]
kind = "number"
min = 0
max = 100
unit = "kg"
meaning = "What the parcel weighs"

[features.distance]
kind = "number"
required = true
min = 0
max = 5000
unit = "km"
meaning = "How far it goes"

[features.distance_miles]
kind = "number"
min = 0
max = 3200
unit = "mi"
meaning = "How far it goes, in miles: says nothing new"

[features.express]
kind = "number"
required = true
min = 0
max = 1
meaning = "1 for an express parcel, 0 for another"

[features.planet]
kind = "category"
meaning = "Where all this happens: says nothing at all"

[features.depot_lateness]
kind = "number"
min = -30
max = 365
unit = "d"
meaning = "The depot's mean lateness over parcels posted 40 to 70 days before"

[model]
positive = "late"
negative = "on time"
floor = { auc = 0.6 }
# A thousand rows of test: two good models may well differ by this much.
budget = { auc_loss = 0.05 }

[model.training]
epochs = 4
patience = 2
batch_rows = 128
hidden = [16]
embedding = 4

[model.tuning]
trials = 3

[model.tuning.ranges]
learning_rate = { min = 1e-3, max = 1e-2, scale = "log" }
embedding = { min = 2, max = 8 }
hidden = { values = [[8], [16, 8]] }

# Small and quick: this is not where a contest is won.
[model.optimise]
candidates = ["teacher", "distilled", "int8-dynamic"]
students = [8]
epochs = 2
draws = 40
rounds = 8

[[examples]]
depot = "north"
region = "upland"
weight = 2.5
distance = 300
express = 0
depot_lateness = 1.5

[[examples]]
depot = "south"
distance = 1200
express = 1
"""

# Parcels arrive within 40 days, so what was posted 40 days ago has an outcome that is known.
FEATURES = """\
SELECT
  p.parcel_id,
  p.posted_at,
  p.depot,
  d.region,
  p.weight,
  p.distance,
  p.distance / 1.609344 AS distance_miles,
  CAST(p.express AS INT) AS express,
  'earth' AS planet,
  AVG(p.days_late) OVER (
    PARTITION BY p.depot ORDER BY UNIX_TIMESTAMP(p.posted_at)
    RANGE BETWEEN 6048000 PRECEDING AND 3456000 PRECEDING
  ) AS depot_lateness
FROM parcels p
LEFT JOIN depots d ON d.depot = p.depot
"""

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = 366
PARCELS = ("parcel_id", "posted_at", "depot", "weight", "distance", "express", "days_late", "damaged")
DEPOTS = (("north", "upland", 12), ("south", "lowland", 30), ("east", "lowland", 45), ("west", "upland", 8))
EFFECT = {"north": 1.0, "south": -0.3, "east": -0.8, "west": 0.6}


def make_workload(folder: Path, rows: int, seed: int) -> Path:
    """Writes the workload into ``folder`` and returns it; raw files go to ``folder/raw/<table>/``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.toml").write_text(CONTRACT)
    (folder / "features.sql").write_text(FEATURES)
    write_csv(folder / "raw" / "depots" / "depots.csv", ("depot", "region", "workers"), DEPOTS)
    write_csv(folder / "raw" / "parcels" / "parcels.csv", PARCELS, parcels(rows, seed))
    return folder


def parcels(rows: int, seed: int) -> list[tuple[object, ...]]:
    """``rows`` parcels posted evenly over 2024, in the order of ``PARCELS``."""
    rng = random.Random(seed)
    return [_parcel(rng, number, START + timedelta(days=DAYS) * number / rows) for number in range(rows)]


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes ``rows`` under ``header``; None becomes an empty field."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _parcel(rng: random.Random, number: int, posted_at: datetime) -> tuple[object, ...]:
    depot = rng.choice([name for name, *_ in DEPOTS])
    weight = round(rng.expovariate(0.2) % 60, 2) if rng.random() > 0.1 else None
    distance = rng.randint(5, 2000)
    express = rng.random() < 0.3
    burden = EFFECT[depot] + (distance - 1000) / 700 - 1.2 * express + math.log1p(weight or 5) / 3
    days_late = round(burden + rng.gauss(0, 1.2), 2) if rng.random() > 0.03 else None
    damaged = "true" if rng.random() < 0.02 else "false"
    moment = posted_at.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (f"p{number:06d}", moment, depot, weight, distance, str(express).lower(), days_late, damaged)
