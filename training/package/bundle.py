"""Writes the bundle: equal models, data and commits give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.package.archive import write_tar_gz, write_zip
from training.package.card import write_card
from training.package.gate import Champion, Verdict
from training.package.manifest import Subject, describe
from training.package.report import write_report

_TOLERANCE = 1e-4
"""What a release's check may be off: hosts differ in how they add floats up."""
_QUANTISED_TOLERANCE = 0.02
"""The same for 8-bit graphs: a value on the border between two steps may fall to either side."""


def write_bundle(folder: Path, subject: Subject, verdict: Verdict, champion: Champion | None) -> None:
    """Write every file of the bundle into ``folder``; a refused one gets no ``layer.zip``."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _json(describe(subject))
    served = {**subject.graphs.files, "manifest.json": manifest}
    files = {
        **served,
        "card.md": write_card(subject, verdict, champion).encode(),
        "release.json": _json(release(subject)),
        "verdict.json": _json(judgement(subject, verdict, champion)),
        "contest.json": _json(subject.contest.as_json()),
        "report.html": write_report(subject).encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_tar_gz(folder / "model.tar.gz", served)
    if verdict.passed:
        write_zip(folder / "layer.zip", {f"bundle/{name}": content for name, content in served.items()})


def release(subject: Subject) -> dict[str, Any]:
    """Return the request that a release sends to the function, and the answers it must get."""
    records = [dict(record) for record in subject.contract.examples]
    quantised = subject.contest.winner.candidate.quantised
    return {
        "model": subject.contract.name,
        "version": subject.version,
        "request": json.dumps({"records": records}),
        "probabilities": list(subject.probabilities),
        "tolerance": _QUANTISED_TOLERANCE if quantised else _TOLERANCE,
    }


def judgement(subject: Subject, verdict: Verdict, champion: Champion | None) -> dict[str, Any]:
    """Return the gate's verdict with the figures it rests on, by names such as ``test_auc``."""
    metrics: dict[str, float | int | None] = {
        f"{split}_{name}": value
        for split, measured in subject.metrics.items()
        for name, value in measured.as_json().items()
    }
    metrics |= {"parity": subject.parity.finite, "bytes": subject.graphs.bytes}
    metrics |= {"test_reads": subject.test_reads}
    return {
        "passed": verdict.passed,
        "reasons": [*verdict.reasons, *verdict.remarks],
        "metrics": metrics,
        "champion": _champion(champion),
    }


def _champion(champion: Champion | None) -> dict[str, Any] | None:
    if champion is None:
        return None
    test = champion.test.as_json() if champion.test is not None else {}
    return {"version": champion.version, "metrics": {f"test_{name}": value for name, value in test.items()}}


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
