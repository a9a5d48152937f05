"""The packaging job: a trained model in; a measured, judged and written bundle out."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract.load import workload
from contract.schema import SPLITS, Contract
from training.package.archive import unpack
from training.package.bundle import write_bundle
from training.package.champion import Incumbent, read_champion
from training.package.contest import Contest, Entry, hold, readers, worst_parity
from training.package.evaluate import CountedExamples, Scored, score_all
from training.package.folders import Folders
from training.package.gate import Challenger, Verdict, judge
from training.package.manifest import Snapshot, Subject
from training.package.scoring import Scorer
from training.package.workbench import Workbench
from training.train.artefact import Trained, read_trained
from training.train.data import Examples
from training.train.encoding import ReportError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is packaged: ``run`` becomes the version of the bundle, ``git_commit`` tells the code."""

    contract: Contract
    run: str
    git_commit: str


def main() -> None:
    """Package as the command line and SageMaker's folders say; a refused bundle is no failure of the job."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    folders = Folders.of_environment()
    try:
        package(read_request(sys.argv[1:]), folders)
    except Exception as error:
        folders.message.parent.mkdir(parents=True, exist_ok=True)
        folders.message.write_text(f"{type(error).__name__}: {error}"[:1000])
        raise


def read_request(arguments: Sequence[str]) -> Request:
    """Read ``--workload``, ``--run`` and ``--git-commit``."""
    parser = argparse.ArgumentParser(prog="training.package.job", description=__doc__)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--git-commit", default="unknown")
    given = parser.parse_args(arguments)
    return Request(contract=workload(given.workload), run=given.run, git_commit=given.git_commit)


def package(request: Request, folders: Folders) -> Verdict:
    """Hold the contest, measure its winner on the test split, judge and write the bundle.

    Returns the verdict that was written.
    """
    trained = _trained(request, folders)
    model = request.contract.model
    train, validate = (Examples(folders.input("examples"), split) for split in ("train", "validate"))
    bench = Workbench(trained, train, model.optimise, _unlabelled(folders.input("unlabelled")))
    contest = hold(bench, validate, model)
    test = CountedExamples(folders.input("examples"), "test")
    incumbent = read_champion(folders.input("champion"), test.kinds())
    scored = _last_look(contest.winner, bench, test, incumbent)
    snapshot = read_snapshot(folders.input("reports"))
    subject = _subject(request, bench, contest, scored=scored, reads=test.reads, snapshot=snapshot)
    champion = incumbent.result(scored) if incumbent else None
    verdict = judge(_challenger(subject), model.floor, model.budget, champion)
    write_bundle(folders.output, subject, verdict, champion)
    _report(subject, verdict)
    return verdict


def _unlabelled(folder: Path) -> Examples | None:
    """Return the recent rows without a label; None where preprocessing found none."""
    return Examples(folder) if any(folder.glob("*.parquet")) else None


def _last_look(winner: Entry, bench: Workbench, test: CountedExamples, incumbent: Incumbent | None) -> Scored:
    """Let the winner's graphs, the winner's own model and the champion score the test split in one pass."""
    asked = {**readers([winner.candidate], bench), **(incumbent.readers if incumbent else {})}
    _log.info("measuring %s on the %d rows of the test split", ", ".join(asked), len(test))
    return score_all(test, asked)


def _subject(
    request: Request, bench: Workbench, contest: Contest, *, scored: Scored, reads: int, snapshot: Snapshot
) -> Subject:
    winner = contest.winner
    examples = Scorer(winner.candidate.graphs.batch)(bench.inputs.of_records(request.contract.examples))
    return Subject(
        contract=request.contract,
        version=request.run,
        git_commit=request.git_commit,
        encoding=bench.trained.encoding,
        contest=contest,
        snapshot=snapshot,
        metrics={"validate": winner.metrics, "test": scored.metrics(f"{winner.name} batch")},
        parity=worst_parity(scored.parities(winner.name)),
        test_reads=reads,
        probabilities=[float(f"{p:.9g}") for p in examples],
    )


def _challenger(subject: Subject) -> Challenger:
    winner, optimise = subject.contest.winner, subject.contract.model.optimise
    return Challenger(
        test=subject.metrics["test"],
        parity=subject.parity,
        bytes=winner.bytes,
        quantised_parity=optimise.quantised_parity if winner.candidate.quantised else None,
        obstacle=subject.contest.obstacle,
    )


def read_snapshot(reports: Path) -> Snapshot:
    """Return what ``profile.json`` of folder ``reports`` says of the data. Raises ReportError."""
    content = (reports / "profile.json").read_bytes()
    profile = json.loads(content)
    if "made_at" not in profile:
        raise ReportError(
            f"{reports / 'profile.json'}: no made_at, the time of the run; run preprocessing again"
        )
    return Snapshot(
        run=profile["run"],
        made_at=profile["made_at"],
        rows={split: profile["splits"][split]["rows"] for split in SPLITS},
        profile_sha256=hashlib.sha256(content).hexdigest(),
    )


def _trained(request: Request, folders: Folders) -> Trained:
    _log.info("reading the trained model")
    with tempfile.TemporaryDirectory() as unpacked:
        unpack(folders.input("model") / "model.tar.gz", Path(unpacked))
        trained = read_trained(Path(unpacked))
    if trained.contract_sha256 != request.contract.sha256:
        raise ValueError(
            f"the model was trained under contract {trained.contract_sha256[:12]}, this job carries "
            f"{request.contract.sha256[:12]}; train again, so that bundle and model keep the same promise"
        )
    return trained


def _report(subject: Subject, verdict: Verdict) -> None:
    test = subject.metrics["test"]
    _log.info(
        "millrace test_auc=%.6g test_log_loss=%.6g test_brier=%.6g test_calibration_error=%.6g parity=%.3g",
        *(test.auc, test.log_loss, test.brier, test.calibration_error, subject.parity.max_abs_difference),
    )
    for reason in (*verdict.reasons, *verdict.remarks):
        _log.info("%s", reason)
    _log.info("the gate %s %s", "let pass" if verdict.passed else "refused", subject.version)


if __name__ == "__main__":
    main()
