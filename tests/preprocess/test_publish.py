"""The tables of a run in the Glue Data Catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
from botocore.stub import ANY, Stubber

from contract.load import load
from tests.workload_factory import make_workload
from training.preprocess.publish import catalogue

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ["depot", "weight"]


def catalogued(folder: Path, prefix: str, known: set[str]) -> dict[str, Any]:
    """What is put into a catalogue that has the tables ``known``; checked against Glue's own model."""
    glue = boto3.client("glue", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    put: dict[str, Any] = {}
    glue.meta.events.register(
        "provide-client-params.glue.*", lambda params, **_: put.update({params["TableInput"]["Name"]: params})
    )
    expected = {"DatabaseName": "lake", "TableInput": ANY}
    with Stubber(glue) as stub:
        for name in ("parcels", "depots", "parcels_examples"):
            if name in known:
                stub.add_response("update_table", {}, expected)
            else:
                stub.add_client_error("update_table", "EntityNotFoundException", expected_params=expected)
                stub.add_response("create_table", {}, expected)
        names = catalogue(glue, "lake", load(make_workload(folder, rows=1, seed=0)), prefix, KEPT)
        stub.assert_no_pending_responses()
    assert names == list(put)
    return {name: params["TableInput"] for name, params in put.items()}


def test_given_an_empty_database_then_the_tables_stand_where_the_run_wrote(tmp_path: Path) -> None:
    tables = catalogued(tmp_path, "s3://lake/parcels/runs/r1", known=set())

    parcels = tables["parcels"]["StorageDescriptor"]
    assert parcels["Location"] == "s3://lake/parcels/runs/r1/tables/parcels/"
    assert {"Name": "posted_at", "Type": "timestamp"} in parcels["Columns"]
    examples = tables["parcels_examples"]
    columns = {column["Name"]: column["Type"] for column in examples["StorageDescriptor"]["Columns"]}
    assert columns == {
        "example_id": "string",
        "event_time": "timestamp",
        "label": "float",
        "depot": "string",
        "weight": "float",
    }
    assert examples["PartitionKeys"] == [{"Name": "split", "Type": "string"}]
    assert examples["Parameters"]["projection.split.values"] == "train,validate,test"
    template = examples["Parameters"]["storage.location.template"]
    assert template == "s3://lake/parcels/runs/r1/examples/split=${split}"


def test_given_tables_of_a_former_run_then_they_move_and_none_is_made_twice(tmp_path: Path) -> None:
    tables = catalogued(
        tmp_path, "s3://lake/parcels/runs/r2", known={"parcels", "depots", "parcels_examples"}
    )

    assert all("/runs/r2/" in table["StorageDescriptor"]["Location"] for table in tables.values())


def test_given_a_table_more_than_before_then_it_is_made_and_the_others_move(tmp_path: Path) -> None:
    tables = catalogued(tmp_path, "s3://lake/parcels/runs/r2", known={"parcels"})

    assert len(tables) == 3
