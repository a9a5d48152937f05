"""``manifest.json``: all that a reader of the bundle needs to know of the graph beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contract.schema import Contract, Feature, Split
from training.package.contest import Contest, Entry
from training.package.gate import Parity
from training.package.graphs import Graphs
from training.train.encoding import Encoding
from training.train.metrics import Metrics

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The data that a model was made from: the run that prepared them, and what its profile says."""

    run: str
    made_at: str
    """When the run was prepared: UTC, ISO 8601 to the second, ending in Z."""
    rows: Mapping[Split, int]
    profile_sha256: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a manifest and a card describe.

    ``contest`` tells which graphs were chosen, ``test_reads`` how often the test split was read until then.
    ``probabilities`` are the graph's answers to the contract's examples, in their order.
    """

    contract: Contract
    version: str
    git_commit: str
    encoding: Encoding
    contest: Contest
    snapshot: Snapshot
    metrics: Mapping[str, Metrics]
    parity: Parity
    test_reads: int
    probabilities: Sequence[float]

    @property
    def graphs(self) -> Graphs:
        """Return the graphs that the bundle carries."""
        return self.contest.winner.candidate.graphs


def describe(subject: Subject) -> dict[str, Any]:
    """Return the manifest as a JSON document."""
    contract = subject.contract
    return {
        "format": FORMAT,
        "workload": contract.name,
        "version": subject.version,
        "made_at": subject.snapshot.made_at,
        "question": contract.question,
        "decision": {
            "positive": contract.model.positive,
            "negative": contract.model.negative,
            "threshold": contract.model.threshold,
        },
        "limits": {"records": contract.serving.max_records, "body_bytes": contract.serving.max_body_bytes},
        "features": _features(contract, subject.encoding),
        "inputs": {
            "numbers": list(subject.encoding.number_names),
            "categories": list(subject.encoding.category_names),
        },
        "examples": _examples(subject),
        "contract_sha256": contract.sha256,
        "git_commit": subject.git_commit,
        "candidate": _candidate(subject.contest.winner),
        "data": _data(subject.snapshot),
        "metrics": {split: metrics.as_json() for split, metrics in subject.metrics.items()},
        "parity": {"max_abs_difference": subject.parity.finite, "rows": subject.parity.rows},
        "graphs": dict(subject.graphs.names),
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in sorted(subject.graphs.files.items())
        },
    }


def _candidate(winner: Entry) -> dict[str, Any]:
    """Return what won. Microseconds are left out: they differ from one measurement to the next."""
    chosen = winner.candidate
    return {"name": chosen.name, "made": chosen.made, "quantised": chosen.quantised}


def _data(snapshot: Snapshot) -> dict[str, Any]:
    return {name: value for name, value in asdict(snapshot).items() if name != "made_at"}


def _features(contract: Contract, encoding: Encoding) -> list[dict[str, Any]]:
    vocabularies = {category.name: list(category.values) for category in encoding.categories}
    used = {*encoding.number_names, *encoding.category_names}
    return [
        _feature(
            feature,
            name=name,
            used=name in used,
            values=vocabularies.get(name, []),
            variants=contract.variants(name),
        )
        for name, feature in contract.features.items()
    ]


def _feature(
    feature: Feature, *, name: str, used: bool, values: list[str], variants: Mapping[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": name,
        "kind": feature.kind,
        "required": feature.required,
        "min": feature.min,
        "max": feature.max,
        "unit": feature.unit,
        "meaning": feature.meaning,
        "used": used,
    }
    if feature.kind == "number":
        return entry
    known = {variant: value for variant, value in variants.items() if value in values}
    return entry | {"values": values, "spellings": known}


def _examples(subject: Subject) -> list[dict[str, Any]]:
    return [
        {"record": dict(record), "probability": probability}
        for record, probability in zip(subject.contract.examples, subject.probabilities, strict=True)
    ]
