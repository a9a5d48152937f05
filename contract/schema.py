"""The shape of a workload's contract: plain frozen dataclasses that every stage reads.

``contract.load`` fills them from ``workloads/<name>/contract.toml`` and checks them.
Only the standard library is imported here: the same code runs in Glue, in SageMaker's
training image, in Lambda bundles' build and on the laptop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

ColumnType = Literal["integer", "number", "text", "boolean", "timestamp"]
FeatureKind = Literal["number", "category"]
Split = Literal["train", "validate", "test"]

SPLITS: tuple[Split, ...] = ("train", "validate", "test")
Record = dict[str, float | int | str | bool | None]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a raw table. ``min`` and ``max`` are inclusive; a row outside them is quarantined."""

    type: ColumnType
    required: bool = False
    min: float | None = None
    max: float | None = None
    spellings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Canonical spelling → the variants that are rewritten to it (text columns only)."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A raw table as it arrives: one CSV file with a header, or a zip that holds it."""

    file: str
    columns: dict[str, Column]
    key: tuple[str, ...]
    null: str = ""
    after_the_fact: tuple[str, ...] = ()
    """Columns known only once the outcome is: they may shape labels and history, never a feature."""
    max_quarantined: float = 0.05
    """Share of rows (0–1) that may be quarantined before the pipeline stops."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where ``millrace ingest`` finds the raw files unless it is told otherwise."""

    folder: str
    distribution: str | None = None
    """An installed Python distribution whose files are read, never imported. ``folder`` is then inside it."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """What one example is: a row of ``table``, identified by that table's key, at ``event_time``.

    ``event_time`` names the timestamp column (UTC) that ``features.sql`` returns.
    """

    table: str
    event_time: str


@dataclass(frozen=True, kw_only=True)
class Label:
    """``sql`` is a boolean Spark SQL expression over the example's table; NULL means "no label"."""

    sql: str


@dataclass(frozen=True, kw_only=True)
class Period:
    """Event times from ``start`` (inclusive) until ``end`` (exclusive), midnight UTC."""

    start: date
    end: date


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A quality rule: ``sql`` is one aggregate over ``table`` (a raw table's name, or ``examples``)."""

    name: str
    table: str
    sql: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A model input. Bounds are plausibility bounds: outside them a caller gets a warning, not an error."""

    kind: FeatureKind
    meaning: str
    required: bool = False
    min: float | None = None
    max: float | None = None
    unit: str = ""
    source: Literal["request"] = "request"
    keep: bool = False
    """Keep the feature even if it is constant or redundant in the training split."""
    spellings_of: str = ""
    """``table.column`` whose spellings callers may use for this category, as the raw data do."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """``redundant_above``: of two numbers whose |Pearson r| exceeds it, the later declared is dropped."""

    redundant_above: float = 0.98


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The least a model must reach: on the validation split to be chosen, on the test split to pass."""

    auc: float


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The most a bundle may cost."""

    bytes: int = 20_000_000
    parity: float = 1e-5
    """Largest |Δ probability| between a model and its graphs, on all rows of validation and test split."""
    auc_loss: float = 0.002
    """How much test AUC a challenger may lose against the champion on the same rows."""


Precision = Literal["bf16", "fp32"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Hyperparameters; each may be overridden for one run without changing the contract."""

    seed: int = 7
    epochs: int = 12
    patience: int = 3
    batch_rows: int = 1024
    """Rows per step over all ranks together."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    hidden: tuple[int, ...] = (128, 64)
    embedding: int = 12
    dropout: float = 0.1
    precision: Precision = "bf16"
    """What a GPU multiplies in: ``bf16`` or ``fp32``. The CPU always uses fp32."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Where a search looks for one hyperparameter: from ``min`` to ``max`` inclusive, or in ``values``.

    ``values`` are written as in ``[model.training]``. ``scale`` is how numbers between the bounds are spread.
    """

    min: float | None = None
    max: float | None = None
    scale: Literal["linear", "log"] = "linear"
    values: tuple[object, ...] = ()


def _ranges() -> dict[str, Range]:
    """The search space of a workload that declares none: wide around the defaults of ``Training``."""
    return {
        "learning_rate": Range(min=3e-4, max=1e-2, scale="log"),
        "weight_decay": Range(min=1e-5, max=1e-1, scale="log"),
        "dropout": Range(min=0.0, max=0.4),
        "hidden": Range(values=((64,), (128, 64), (256, 128))),
    }


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A hyperparameter search: ``trials`` training jobs, at most ``parallel`` at a time."""

    trials: int = 12
    parallel: int = 2
    objective: Literal["validate_auc", "validate_loss"] = "validate_auc"
    """The metric of the validation split that decides: the AUC is maximised, the log loss minimised."""
    ranges: dict[str, Range] = field(default_factory=_ranges)
    """Name of a hyperparameter in ``Training`` → where to look for it; the others stay as they are."""


CandidateName = Literal["teacher", "distilled", "pruned", "int8-dynamic", "int8-static", "trees"]
CANDIDATES: tuple[CandidateName, ...] = (
    "teacher",
    "distilled",
    "pruned",
    "int8-dynamic",
    "int8-static",
    "trees",
)


@dataclass(frozen=True, kw_only=True)
class Optimise:
    """The contest of the packaging job: which candidates are made, and which of them may be chosen.

    The teacher is the model of the training job. The cheapest candidate is chosen that keeps all budgets.
    """

    candidates: tuple[CandidateName, ...] = CANDIDATES
    tolerance: float = 0.003
    """How much validation AUC a candidate may lose against the best one, even at the interval's far end."""
    latency_ratio: float = 1.5
    """The most a candidate may take for one record or for 256, as a multiple of the teacher's time."""
    alike: float = 0.25
    """Candidates within this share of the fastest count as equally fast; then the smallest wins."""
    quantised_parity: float = 0.1
    """Largest |Δ probability| of an 8-bit graph against its model: rounding is its nature."""
    rows: int = 400_000
    """At most so many training rows, and as many without a label, evenly spread, teach candidates."""
    epochs: int = 6
    """Passes of a student over those rows; a pruned model is tuned for half as many."""
    students: tuple[int, ...] = (32, 16)
    """Widths of the distilled students' only hidden layer, one student for each."""
    student_bends: int = 4
    """At most so many bends for each number of a distilled student."""
    temperature: float = 2.0
    """By what the log-odds of teacher and student are divided while one learns from the other."""
    prune: float = 0.75
    """Share of the teacher's hidden units that the pruned candidate lacks."""
    trees: int = 100
    leaves: int = 31
    """Leaves of a tree, at most."""
    draws: int = 200
    """Bootstrap draws behind each interval."""
    rounds: int = 30
    """How often each candidate is timed in turn."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """What the model decides and how good it must be. ``positive`` is what the label being true is called."""

    positive: str
    negative: str
    floor: Floor
    objective: Literal["binary"] = "binary"
    threshold: float = 0.5
    budget: Budget = field(default_factory=Budget)
    training: Training = field(default_factory=Training)
    tuning: Tuning = field(default_factory=Tuning)
    optimise: Optimise = field(default_factory=Optimise)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Limits of one request; ``contract.limits`` says how large they may be."""

    max_records: int = 1000
    max_body_bytes: int = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Contract:
    """Everything that is particular to one workload, read and checked once."""

    name: str
    question: str
    source: Source
    tables: dict[str, Table]
    example: Example
    label: Label
    split: dict[Split, Period]
    features: dict[str, Feature]
    model: Model
    examples: tuple[Record, ...]
    selection: Selection = field(default_factory=Selection)
    quality: tuple[Rule, ...] = ()
    serving: Serving = field(default_factory=Serving)
    features_sql: str = ""
    """The text of ``features.sql``, read beside the contract."""
    sha256: str = ""
    """Digest of ``contract.toml`` and ``features.sql``: the version of the promise."""

    def names(self, kind: FeatureKind) -> tuple[str, ...]:
        """Names of the features of ``kind``, in the order of the contract."""
        return tuple(name for name, feature in self.features.items() if feature.kind == kind)

    def variants(self, name: str) -> dict[str, str]:
        """Return other spellings of feature ``name``'s values that callers may use: variant → canonical."""
        table, _, column = self.features[name].spellings_of.partition(".")
        columns = self.tables[table].columns if table in self.tables else {}
        spellings = columns[column].spellings if column in columns else {}
        return {variant: canonical for canonical, variants in spellings.items() for variant in variants}
