"""``card.md``: the model for people, from the same facts as the manifest."""

from __future__ import annotations

from collections.abc import Sequence

from training.package.gate import Champion, Verdict
from training.package.manifest import Subject
from training.package.standing import HEADER, cells, summary, times
from training.package.table import markdown
from training.train.metrics import Metrics


def write_card(subject: Subject, verdict: Verdict, champion: Champion | None) -> str:
    """Return the card as Markdown."""
    sections = (
        _head(subject, verdict),
        _quality(subject, champion),
        _contest(subject),
        _features(subject),
        _examples(subject),
        _origin(subject),
    )
    return "\n\n".join(sections) + "\n"


def _head(subject: Subject, verdict: Verdict) -> str:
    model = subject.contract.model
    lines = [
        f"# {subject.contract.name} {subject.version}",
        "",
        subject.contract.question,
        "",
        f"The model answers the probability of “{model.positive}” and decides so from {model.threshold} up.",
        "",
        "The gate let it pass." if verdict.passed else "**The gate refused it.**",
    ]
    return "\n".join([*lines, *_bullets((*verdict.reasons, *verdict.remarks))])


def _bullets(lines: Sequence[str]) -> list[str]:
    return ["", *(f"- {line}" for line in lines)] if lines else []


def _quality(subject: Subject, champion: Champion | None) -> str:
    rows = {f"this model, {split}": metrics for split, metrics in subject.metrics.items()}
    if champion is not None and champion.test is not None:
        rows[f"champion {champion.version}, test"] = champion.test
    header = ("on", "rows", "AUC", "log loss", "Brier score", "calibration error")
    table = markdown(header, (_metrics(name, metrics) for name, metrics in rows.items()))
    model = subject.contract.model
    return (
        f"## Quality\n\n{table}\n\nThe contract asks for a test AUC of {model.floor.auc} or more. The graphs "
        f"differ from their model by at most {subject.parity.max_abs_difference:.2g} on "
        f"{subject.parity.rows} rows. The test split was read {times(subject.test_reads)}."
    )


def _metrics(name: str, metrics: Metrics) -> list[str]:
    values = (metrics.auc, metrics.log_loss, metrics.brier, metrics.calibration_error)
    return [name, str(metrics.rows), *(f"{value:.4f}" for value in values)]


def _contest(subject: Subject) -> str:
    contest = subject.contest
    table = markdown(HEADER, (cells(contest, entry) for entry in contest.entries))
    made = [f"{entry.name}: {entry.candidate.made}" for entry in contest.entries]
    return "\n".join(
        [
            "## Contest",
            "",
            "Measured on the validation split, one thread, in turns; `report.html` has the pictures.",
            *_bullets(summary(contest)),
            "",
            table,
            *_bullets(made),
        ]
    )


def _features(subject: Subject) -> str:
    used = {*subject.encoding.number_names, *subject.encoding.category_names}
    rows = [
        [name, feature.kind, feature.unit, feature.meaning, "yes" if name in used else "no"]
        for name, feature in subject.contract.features.items()
    ]
    return "## Features\n\n" + markdown(("feature", "kind", "unit", "meaning", "used"), rows)


def _examples(subject: Subject) -> str:
    rows = (
        [", ".join(f"{name} {value}" for name, value in record.items()), f"{probability:.4f}"]
        for record, probability in zip(subject.contract.examples, subject.probabilities, strict=True)
    )
    return "## Examples\n\n" + markdown(("record", "probability"), rows)


def _origin(subject: Subject) -> str:
    counts = ", ".join(f"{split} {rows}" for split, rows in subject.snapshot.rows.items())
    rows = (
        ["data", f"run {subject.snapshot.run}: {counts}"],
        ["made at", subject.snapshot.made_at],
        ["profile, SHA-256", subject.snapshot.profile_sha256],
        ["contract, SHA-256", subject.contract.sha256],
        ["git commit", subject.git_commit],
        *([file, f"{len(content)} bytes"] for file, content in subject.graphs.files.items()),
    )
    return "## Where it comes from\n\n" + markdown(("what", "which"), rows)
