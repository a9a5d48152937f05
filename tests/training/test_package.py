"""The packaging job: from the training job's archive to a bundle."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from contract.load import load
from contract.schema import Contract, Model, Optimise
from tests.training.hosts import host_folder, result, train
from tests.training.parcels import KINDS, MADE_AT, Run, make_run, write_json
from training.package.candidate import Candidate
from training.package.champion import read_champion
from training.package.export import to_onnx
from training.package.folders import Folders
from training.package.graphs import Graphs
from training.package.job import Request, package, read_request
from training.package.recipes import RECIPES
from training.package.scoring import Scorer, inputs_of
from training.package.workbench import Workbench
from training.train.data import Examples

pytestmark = pytest.mark.torch

BUNDLE = [
    "card.md",
    "contest.json",
    "layer.zip",
    "manifest.json",
    "model.onnx",
    "model.tar.gz",
    "release.json",
    "report.html",
    "single.onnx",
    "verdict.json",
]


def job_folder(base: Path, run: Run, model: Path, champion: Path | None = None) -> Folders:
    """Lays out the inputs of a packaging job below ``base``."""
    inputs = base / "processing/input"
    (inputs / "model").mkdir(parents=True)
    with tarfile.open(inputs / "model/model.tar.gz", "w:gz") as archive:
        for file in model.iterdir():
            archive.add(file, file.name)
    (inputs / "examples").symlink_to(run.examples)
    (inputs / "reports").symlink_to(run.reports)
    if champion is not None:
        (inputs / "champion").symlink_to(champion)
    return Folders(base)


def request(run: Run, change: Callable[[Model], Model] = lambda model: model) -> Request:
    contract: Contract = load(run.workload)
    return Request(contract=replace(contract, model=change(contract.model)), run="r1", git_commit="c0ffee")


def only_the_teacher(model: Model) -> Model:
    return replace(model, optimise=replace(model.optimise, candidates=("teacher",)))


def read_json(file: Path) -> Any:
    return json.loads(file.read_text())


@pytest.fixture(scope="module")
def bundle(run: Run, two_hosts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folders = job_folder(tmp_path_factory.mktemp("bundle"), run, two_hosts[0] / "model")
    assert package(request(run), folders).passed
    return folders.output


def test_a_bundle_is_complete_and_passes(bundle: Path) -> None:
    assert sorted(file.name for file in bundle.iterdir()) == BUNDLE
    verdict = read_json(bundle / "verdict.json")
    assert (verdict["passed"], verdict["reasons"], verdict["champion"]) == (True, [], None)
    assert verdict["metrics"]["test_auc"] > 0.8
    assert verdict["metrics"]["parity"] <= 1e-5


def test_the_manifest_describes_the_graph_and_its_data(bundle: Path, run: Run) -> None:
    manifest, contract = read_json(bundle / "manifest.json"), load(run.workload)
    assert (manifest["version"], manifest["git_commit"]) == ("r1", "c0ffee")
    assert manifest["made_at"] == MADE_AT, "the data's time, not the packaging job's: else bytes would differ"
    assert manifest["contract_sha256"] == contract.sha256
    assert [feature["name"] for feature in manifest["features"]] == list(contract.features)
    unused = {feature["name"] for feature in manifest["features"] if not feature["used"]}
    assert unused == {"distance_miles", "planet"}
    depot = manifest["features"][0]
    assert sorted(depot["values"]) == ["east", "north", "south", "west"]
    assert depot["spellings"] == {"North": "north", "NORTH": "north"}
    assert manifest["format"] == 2
    assert manifest["graphs"] == {"batch": "model.onnx", "single": "single.onnx"}
    assert manifest["candidate"]["name"] in {"teacher", "distilled-8"}
    for name, promised in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert promised == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert manifest["parity"]["rows"] == manifest["metrics"]["test"]["rows"] == 1500
    assert manifest["data"]["rows"] == {"train": 6000, "validate": 1501, "test": 1500}


def test_the_release_check_and_the_manifest_promise_what_the_graph_answers(bundle: Path) -> None:
    manifest, release = read_json(bundle / "manifest.json"), read_json(bundle / "release.json")
    rows = inputs_of(manifest).of_records(json.loads(release["request"])["records"])
    for graph in manifest["graphs"].values():
        answers = Scorer((bundle / graph).read_bytes())(rows)
        np.testing.assert_allclose(answers, release["probabilities"], atol=1e-6)
    assert [example["probability"] for example in manifest["examples"]] == release["probabilities"]


def test_layer_and_archive_hold_the_same_three_files(bundle: Path) -> None:
    names = ("manifest.json", "model.onnx", "single.onnx")
    served = {name: (bundle / name).read_bytes() for name in names}
    with zipfile.ZipFile(bundle / "layer.zip") as layer:
        assert {name: layer.read(name) for name in layer.namelist()} == {
            f"bundle/{name}": content for name, content in served.items()
        }
    with tarfile.open(bundle / "model.tar.gz") as archive:
        assert archive.getnames() == sorted(served)


def test_the_card_can_be_read(bundle: Path) -> None:
    card = (bundle / "card.md").read_text()
    assert card.startswith("# parcels r1\n\nWill the parcel arrive more than a day late?\n")
    assert "| this model, test | 1500 | 0." in card
    assert "| weight | number | kg | What the parcel weighs | yes |" in card


def test_the_contest_is_told_in_figures_words_and_pictures(bundle: Path) -> None:
    # Given the figures of a contest
    contest = read_json(bundle / "contest.json")
    names = [candidate["name"] for candidate in contest["candidates"]]
    assert names == ["teacher", "distilled-8", "int8-dynamic"]
    # Then the candidates were measured on the validation split, and the teacher against itself
    assert {candidate["metrics"]["rows"] for candidate in contest["candidates"]} == {1501}
    assert contest["candidates"][0]["ratio_to_teacher"] == {"1": 1.0, "32": 1.0, "256": 1.0}
    # And card and page show each of them, the page without asking anything of a network
    card, page = ((bundle / name).read_text() for name in ("card.md", "report.html"))
    for name in names:
        assert f"\n| {name} | " in card
        assert f"<td>{name}</td>" in page
    assert all("recent ones without a label" in text for text in (card, page))
    assert page.count("<svg") == 2
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)


def test_the_test_split_is_read_once_and_the_card_says_so(
    bundle: Path, run: Run, two_hosts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a reader of Parquet that notes every group of rows it decodes, and a champion to compare with
    decoded: Counter[tuple[str, int]] = Counter()
    read = pq.ParquetFile.iter_batches

    def noting(file: Any, *given: Any, **named: Any) -> Any:
        decoded.update((str(file.note), group) for group in named["row_groups"])
        return read(file, *given, **named)

    opened = pq.ParquetFile.__init__

    def open_noting(file: Any, source: Any, *given: Any, **named: Any) -> None:
        file.note = source
        opened(file, source, *given, **named)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    monkeypatch.setattr(pq.ParquetFile, "__init__", open_noting)
    # When a model is packaged
    folders = job_folder(tmp_path, run, two_hosts[0] / "model", champion=bundle)
    package(request(run, only_the_teacher), folders)
    # Then every row of the test split was decoded, and none twice
    looked_at = {place: count for place, count in decoded.items() if "split=test" in place[0]}
    assert set(looked_at.values()) == {1}
    assert len(looked_at) == 2
    assert "The test split was read once." in (folders.output / "card.md").read_text()
    assert read_json(folders.output / "verdict.json")["metrics"]["test_reads"] == 1


def test_without_lightgbm_the_contest_says_so_loudly_and_goes_on(
    run: Run, two_hosts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    # Given a host on which LightGBM cannot be loaded
    monkeypatch.setitem(sys.modules, "lightgbm", None)

    def with_trees(model: Model) -> Model:
        return replace(model, optimise=replace(model.optimise, candidates=("teacher", "trees")))

    folders = job_folder(tmp_path, run, two_hosts[0] / "model")
    # When a model is packaged that should compete with trees
    with caplog.at_level(logging.INFO):
        assert package(request(run, with_trees), folders).passed
    # Then log, card and page say that they are missing, and why
    assert "WITHOUT THE CANDIDATE trees: LightGBM cannot be loaded here" in caplog.text
    for name in ("card.md", "report.html"):
        assert "WITHOUT trees: LightGBM cannot be loaded here" in (folders.output / name).read_text()


class Nowhere(torch.nn.Module):
    """Gives no probability to any row."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:, 0] * torch.nan


def test_a_candidate_that_has_diverged_costs_nobody_the_release(
    run: Run, two_hosts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a candidate that answers nothing, and one that answers no single record
    def diverged(bench: Workbench) -> Iterator[Candidate]:
        nowhere, teacher = to_onnx(Nowhere(), bench.teacher.columns), bench.graphs.batch
        for name, graphs in (("lost", Graphs(nowhere, nowhere)), ("half", Graphs(teacher, nowhere))):
            yield Candidate(name=name, made="by hand", graphs=graphs, reference=bench.score)

    monkeypatch.setitem(cast("dict[str, Any]", RECIPES), "pruned", diverged)

    def with_them(model: Model) -> Model:
        return replace(model, optimise=replace(model.optimise, candidates=("teacher", "pruned")))

    folders = job_folder(tmp_path, run, two_hosts[0] / "model")
    # When a model is packaged
    assert package(request(run, with_them), folders).passed
    # Then the first is missing and the second refused, and figures and page say why
    contest = read_json(folders.output / "contest.json")
    assert contest["winner"] == "teacher"
    assert contest["absent"]["lost"].startswith("it has diverged")
    half = contest["candidates"][1]
    assert (half["parity"], half["refusals"]) == (None, ["differs by inf from its model (budget 1e-05)"])
    assert "WITHOUT lost: it has diverged" in (folders.output / "report.html").read_text()


def test_every_kind_of_candidate_takes_part(run: Run, two_hosts: list[Path], tmp_path: Path) -> None:
    # Given a contest of all candidates, each made quickly
    def all_of_them(model: Model) -> Model:
        quick = Optimise(students=(8,), epochs=2, trees=20, draws=20, rounds=3)
        return replace(model, optimise=quick)

    folders = job_folder(tmp_path, run, two_hosts[0] / "model")
    # When it is held
    package(request(run, all_of_them), folders)
    # Then each has learnt what there is to learn, and agrees with its own model
    contest = read_json(folders.output / "contest.json")
    found = {candidate["name"]: candidate for candidate in contest["candidates"]}
    assert set(found) == {"teacher", "distilled-8", "pruned", "int8-dynamic", "int8-static", "trees"}
    assert contest["absent"] == {}
    for name, candidate in found.items():
        assert candidate["metrics"]["auc"] > 0.75, name
        assert candidate["parity"] < (0.1 if name.startswith("int8") else 1e-5), name


def test_packaging_again_gives_the_same_bytes_and_ties_with_itself_as_champion(
    bundle: Path, run: Run, two_hosts: list[Path], tmp_path: Path
) -> None:
    # Given the bundle as champion
    folders = job_folder(tmp_path, run, two_hosts[0] / "model", champion=bundle)
    # When the same model is packaged again
    assert package(request(run), folders).passed
    # Then what is served is the same, and the champion measures the same on the same rows
    for name in ("model.onnx", "single.onnx", "manifest.json", "layer.zip", "model.tar.gz", "release.json"):
        assert (folders.output / name).read_bytes() == (bundle / name).read_bytes(), name
    verdict = read_json(folders.output / "verdict.json")
    assert verdict["champion"]["version"] == "r1"
    assert verdict["champion"]["metrics"]["test_auc"] == verdict["metrics"]["test_auc"]


def test_a_bundle_beyond_its_budget_is_refused(run: Run, two_hosts: list[Path], tmp_path: Path) -> None:
    # Given a contract that allows less size and less difference than there is
    def tighten(model: Model) -> Model:
        return replace(only_the_teacher(model), budget=replace(model.budget, bytes=100, parity=1e-12))

    folders = job_folder(tmp_path, run, two_hosts[0] / "model")
    # When the model is packaged
    assert not package(request(run, tighten), folders).passed
    # Then the verdict gives both reasons, after the contest's own, and there is no layer to release
    verdict = read_json(folders.output / "verdict.json")
    assert not verdict["passed"]
    assert verdict["reasons"][0].startswith("no candidate kept every budget; the best, ")
    assert len(verdict["reasons"]) == 3
    assert sorted(file.name for file in folders.output.iterdir()) == [n for n in BUNDLE if n != "layer.zip"]
    assert "**The gate refused it.**" in (folders.output / "card.md").read_text()
    assert "chosen-row" not in (folders.output / "report.html").read_text().split("</style>")[1]


def changed_champion(bundle: Path, folder: Path, **changes: Any) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    write_json(folder / "manifest.json", {**read_json(bundle / "manifest.json"), "version": "r0", **changes})
    return folder


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"inputs": {"numbers": ["gust"], "categories": ["depot"]}}, "it needs gust"),
        ({"inputs": {"numbers": ["depot"], "categories": []}}, "it needs depot"),
        ({"format": 1}, "its manifest has format 1"),
    ],
)
def test_a_champion_of_another_kind_is_incomparable(
    bundle: Path, run: Run, tmp_path: Path, changes: dict[str, Any], obstacle: str
) -> None:
    folder = changed_champion(bundle, tmp_path / "champion", **changes)
    champion = read_champion(folder, Examples(run.examples, "test").kinds())
    assert champion is not None
    assert (champion.version, champion.reader) == ("r0", None)
    assert champion.obstacle.startswith(obstacle)


def test_a_damaged_champion_is_an_error(bundle: Path, run: Run, tmp_path: Path) -> None:
    folder = changed_champion(bundle, tmp_path / "champion")
    (folder / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not the file its manifest names"):
        read_champion(folder, Examples(run.examples, "test").kinds())


def test_a_model_trained_under_another_contract_is_refused(
    run: Run, two_hosts: list[Path], tmp_path: Path
) -> None:
    folders = job_folder(tmp_path, run, two_hosts[0] / "model")
    asked = request(run)
    with pytest.raises(ValueError, match="the model was trained under contract"):
        package(replace(asked, contract=replace(asked.contract, sha256="0" * 64)), folders)


def test_the_command_line_names_workload_run_and_commit(run: Run) -> None:
    asked = read_request(["--workload", str(run.workload), "--run", "r9", "--git-commit", "beef"])
    assert (asked.contract.name, asked.run, asked.git_commit) == ("parcels", "r9", "beef")


def test_one_process_trains_a_workload_of_numbers_and_its_bundle_passes(tmp_path: Path) -> None:
    # Given a workload that has numbers only, and a single host
    run = make_run(tmp_path / "run", {name: kind for name, kind in KINDS.items() if kind == "number"})
    base = host_folder(tmp_path / "host", run, ["algo-1"], "algo-1")
    # When it is trained and packaged
    assert train([base]) == [0], (base / "log").read_text()
    folders = job_folder(tmp_path / "job", run, base / "model")
    assert package(request(run, only_the_teacher), folders).passed
    # Then
    assert result(base)["facts"]["processes"] == 1
    assert read_json(folders.output / "manifest.json")["inputs"] == {
        "numbers": ["weight", "distance", "express", "depot_lateness"],
        "categories": [],
    }
