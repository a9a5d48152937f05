from __future__ import annotations

import pytest
from botocore.stub import Stubber

from cli.commands.train import check_raw_tables, hyperparameters, train
from cli.errors import CliError
from cli.session import session
from contract.schema import Training


def test_hyperparameters_are_read_as_texts() -> None:
    assert hyperparameters(Training(), ["epochs=3", "hidden=64,32", " dropout = 0.2 "]) == {
        "epochs": "3",
        "hidden": "64,32",
        "dropout": "0.2",
    }


@pytest.mark.parametrize("pair", ["epochs", "=3", "epochs="])
def test_what_is_no_hyperparameter_is_refused(pair: str) -> None:
    with pytest.raises(CliError, match="is not a hyperparameter"):
        hyperparameters(Training(), ["seed=1", pair])


@pytest.mark.parametrize(
    ("pair", "remedy"), [("epohcs=3", 'Did you mean "epochs"?'), ("workload=parcels", "Known here")]
)
def test_an_unknown_hyperparameter_is_refused_before_the_run_starts(pair: str, remedy: str) -> None:
    with pytest.raises(CliError, match="there is no hyperparameter") as refused:
        hyperparameters(Training(), [pair])
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("pair", "problem"),
    [
        ("epochs=abc", "'abc' is not a whole number"),
        ("epochs=0", "0 is out of range"),
        ("hidden=64=32", "'64=32'"),
    ],
)
def test_a_value_that_the_training_job_would_refuse_starts_no_run(
    pair: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.commands.train.outputs", lambda *_: pytest.fail("the run was about to start"))
    with pytest.raises(CliError, match=problem) as refused:
        train(env="local", workload="flights", set_=[pair])
    assert (refused.value.where, refused.value.remedy[-13:]) == ("--set", " for example.")


@pytest.mark.parametrize(("attach", "resume"), [("", None), (None, " ")])
def test_a_run_without_a_name_starts_no_new_one(attach: str | None, resume: str | None) -> None:
    with pytest.raises(CliError, match="no run is named"):
        train(attach=attach, resume=resume)


def test_a_run_that_exists_cannot_be_given_other_hyperparameters() -> None:
    with pytest.raises(CliError, match="exclude each other") as refused:
        train(resume="20261124-0532-k7wq", set_=["epochs=3"])
    assert refused.value.where == "--resume --set"


def test_a_run_without_raw_tables_is_refused_before_it_starts() -> None:
    here = session("local", "flights")
    with Stubber(here.client("s3")) as s3:
        s3.add_response("list_objects_v2", {"KeyCount": 0})
        with pytest.raises(CliError) as refused:
            check_raw_tables(here, "lake")
    assert refused.value.where.startswith("s3://lake/flights/raw/")
    assert refused.value.remedy.startswith("upload it: millrace ingest")
