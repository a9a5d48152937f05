"""The registry seeds what the release writes, and never writes it again."""

from __future__ import annotations

import hashlib

from infra.stacks.registry import EMPTY_BUNDLE
from tests.infra.conftest import Synthesis, only, properties

DEPLOYED = "4d85a6d3aa99e16175d71b679aad706250aa9ecddd82c70c63763432ba1510a0"
"""Digest of the empty bundle that environments were deployed with."""


def test_given_the_parameters_then_they_are_seeded_with_nothing_released(each: Synthesis) -> None:
    parameters = {
        item["Name"]: item for item in properties(each.template("flights", "registry"), "AWS::SSM::Parameter")
    }
    env = each.settings.env
    assert set(parameters) == {f"/millrace/{env}/flights/layer", f"/millrace/{env}/flights/champion"}
    assert parameters[f"/millrace/{env}/flights/champion"]["Value"] == "{}"
    assert set(parameters[f"/millrace/{env}/flights/layer"]["Value"]) == {"Ref"}


def test_given_the_empty_bundle_then_it_is_the_one_that_was_deployed() -> None:
    """Other bytes make another layer, and CloudFormation would write its ARN over the released one."""
    contents = {
        path.relative_to(EMPTY_BUNDLE).as_posix(): path.read_bytes()
        for path in sorted(EMPTY_BUNDLE.rglob("*"))
        if path.is_file()
    }
    assert set(contents) == {"bundle/README"}
    assert hashlib.sha256(contents["bundle/README"]).hexdigest() == DEPLOYED


def test_given_every_environment_then_the_layer_is_the_same(each: Synthesis, dev: Synthesis) -> None:
    def key(synthesis: Synthesis) -> str:
        layer = only(synthesis.template("flights", "registry"), "AWS::Lambda::LayerVersion")
        return str(layer["Content"]["S3Key"])

    assert key(each) == key(dev)


def test_given_the_lock_then_its_table_is_keyed_by_workload(dev: Synthesis) -> None:
    table = only(dev.template("flights", "registry"), "AWS::DynamoDB::Table")
    assert table["TableName"] == "millrace-dev-flights-releases"
    assert table["KeySchema"] == [{"AttributeName": "workload", "KeyType": "HASH"}]


def test_given_the_group_then_it_is_named_after_the_workload(dev: Synthesis) -> None:
    group = only(dev.template("flights", "registry"), "AWS::SageMaker::ModelPackageGroup")
    assert group["ModelPackageGroupName"] == "millrace-dev-flights"
