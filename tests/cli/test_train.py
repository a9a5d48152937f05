from __future__ import annotations

import pytest
from botocore.stub import Stubber

from cli.commands.train import check_raw_tables, hyperparameters
from cli.errors import CliError
from cli.session import session


def test_hyperparameters_are_read_as_texts() -> None:
    assert hyperparameters(["epochs=3", "hidden=64=32", " dropout = 0.2 "]) == {
        "epochs": "3",
        "hidden": "64=32",
        "dropout": "0.2",
    }


@pytest.mark.parametrize("pair", ["epochs", "=3", "epochs="])
def test_what_is_no_hyperparameter_is_refused(pair: str) -> None:
    with pytest.raises(CliError, match="is not a hyperparameter"):
        hyperparameters(["seed=1", pair])


def test_a_run_without_raw_tables_is_refused_before_it_starts() -> None:
    here = session("local", "flights")
    with Stubber(here.client("s3")) as s3:
        s3.add_response("list_objects_v2", {"KeyCount": 0})
        with pytest.raises(CliError) as refused:
            check_raw_tables(here, "lake")
    assert refused.value.where.startswith("s3://lake/flights/raw/")
    assert refused.value.remedy.startswith("upload it: millrace ingest")
