"""Searches and experiments through SageMaker's SDK: real trials of the pipeline's own training job."""

from __future__ import annotations

import re
import tomllib

import pytest

from contract.schema import Training
from contract.structure import build
from tests.life.world import TOY, World

pytestmark = [pytest.mark.life, pytest.mark.sdk]


def test_a_search_tries_tells_its_best_and_leaves_the_champion_alone(released: World) -> None:
    before, packages = released.champion(), released.packages()
    searched = ("tune", "--workload", TOY, "--trials", "2", "--set", "epochs=1")
    done = released.millrace(*searched, seconds=240)
    assert done.stderr.count(" ended after ") == 2
    assert "draws at random" in done.stderr, "the laptop says that it does not search as AWS does"
    head, *lines = done.stdout.splitlines()
    assert head.split()[:2] == ["trial", "validate_auc"]
    assert all(0.4 < float(line.split()[1]) < 1 for line in lines[:2])
    pasted = done.stdout.split("[model.training]")[1].split("\n\n")[0]
    assert build(Training, tomllib.loads(pasted), "").epochs == 1
    (command,) = [line for line in lines if line.startswith("millrace train")]
    assert re.search(r"--set hidden=\d+", command)
    (page,) = (released.folder / ".millrace" / "tuning").glob("*.html")
    assert page.read_text().count("<svg") == 4
    assert (released.champion(), released.packages()) == (before, packages)


def test_an_experiment_shows_its_log_and_metrics_and_keeps_its_artefact_apart(released: World) -> None:
    before, packages = released.champion(), released.packages()
    done = released.millrace("experiment", "--workload", TOY, "--set", "epochs=1", seconds=240)
    assert "millrace epoch=1 " in done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert 0.4 < float(told["validate_auc"]) < 1
    bucket, _, key = told["artefact"].removeprefix("s3://").partition("/")
    assert key.startswith(f"{TOY}/experiments/")
    assert released.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 1000
    assert (released.champion(), released.packages()) == (before, packages)
