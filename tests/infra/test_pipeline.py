"""The jobs, their roles, and the machine that runs them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from contract.load import workload
from infra import machines
from infra.settings import Alarms, Training, load
from tests.infra.conftest import (
    Synthesis,
    Synthesise,
    Template,
    as_list,
    only,
    properties,
    statements,
    synthesise,
)


@pytest.fixture(scope="module")
def pipeline(dev: Synthesis) -> Template:
    return dev.template("flights", "pipeline")


def machine(template: Template) -> dict[str, Any]:
    return only(template, "AWS::StepFunctions::StateMachine")


def test_given_the_job_then_its_glue_version_is_pinned_and_it_runs_once(pipeline: Template) -> None:
    job = only(pipeline, "AWS::Glue::Job")
    assert job["GlueVersion"] == "5.1"
    assert job["Name"] == "millrace-dev-flights-preprocess"
    assert (job["MaxRetries"], job["WorkerType"], job["Timeout"]) == (0, "G.1X", 60)
    assert job["ExecutionProperty"]["MaxConcurrentRuns"] == 1


def test_given_the_job_then_its_code_is_two_uploads_and_its_logs_are_ours(pipeline: Template) -> None:
    job = only(pipeline, "AWS::Glue::Job")
    assert ".py" in json.dumps(job["Command"]["ScriptLocation"])
    assert ".zip" in json.dumps(job["DefaultArguments"]["--extra-py-files"])
    prefix = job["DefaultArguments"]["--custom-logGroup-prefix"]
    groups = {group["LogGroupName"] for group in properties(pipeline, "AWS::Logs::LogGroup")}
    assert {f"{prefix}/output", f"{prefix}/error"} <= groups


def test_given_the_job_then_everything_it_keeps_is_encrypted(pipeline: Template) -> None:
    encryption = only(pipeline, "AWS::Glue::SecurityConfiguration")["EncryptionConfiguration"]
    assert encryption["S3Encryptions"][0]["S3EncryptionMode"] == "SSE-KMS"
    assert encryption["CloudWatchEncryption"]["CloudWatchEncryptionMode"] == "SSE-KMS"
    assert encryption["JobBookmarksEncryption"]["JobBookmarksEncryptionMode"] == "CSE-KMS"


def test_given_the_catalog_then_the_stack_owns_the_database_and_no_table(pipeline: Template) -> None:
    assert only(pipeline, "AWS::Glue::Database")["DatabaseInput"]["Name"] == "millrace_dev_flights"
    assert properties(pipeline, "AWS::Glue::Table") == []


def test_given_the_machine_then_every_placeholder_is_filled_and_no_other(each: Synthesis) -> None:
    filled = machine(each.template("flights", "pipeline"))["DefinitionSubstitutions"]
    assert set(filled) == set(machines.placeholders("train", network=each.settings.network.vpc))


def test_given_the_machine_then_its_definition_is_the_one_in_the_file(pipeline: Template) -> None:
    assert json.loads(machine(pipeline)["DefinitionString"]) == machines.machine("train")
    assert machine(pipeline)["StateMachineName"] == "millrace-dev-flights-train"


def test_given_the_contract_then_the_machine_registers_its_digest(pipeline: Template) -> None:
    assert machine(pipeline)["DefinitionSubstitutions"]["ContractSha256"] == workload("flights").sha256


@pytest.mark.parametrize(("env", "automatic"), [("dev", "true"), ("staging", "false"), ("prod", "false")])
def test_given_an_environment_then_its_approval_is_its_own(
    synthesised: Any, env: str, automatic: str
) -> None:
    filled = machine(synthesised(env).template("flights", "pipeline"))["DefinitionSubstitutions"]
    assert filled["AutoApprove"] == automatic


def test_given_the_machine_then_it_logs_every_state_but_not_what_passes_through(pipeline: Template) -> None:
    logging = machine(pipeline)["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_given_the_machine_then_it_passes_only_the_jobs_roles_and_only_to_sagemaker(
    pipeline: Template,
) -> None:
    (passing,) = [
        item for item in statements(pipeline, "TrainRole") if "iam:PassRole" in as_list(item["Action"])
    ]
    roles = json.dumps(passing["Resource"])
    assert "TrainingRole" in roles
    assert "PackagingRole" in roles
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def test_given_the_machine_then_it_may_call_what_its_states_call(pipeline: Template) -> None:
    """Each SDK integration in the definition needs the action of its name."""
    definition = json.dumps(machines.machine("train"))
    called = {
        f"{service}:{name[0].upper()}{name[1:]}"
        for service, name in re.findall(r"arn:aws:states:::(?:aws-sdk:)?(\w+):(\w+)", definition)
    }
    may = {action for item in statements(pipeline, "TrainRole") for action in as_list(item["Action"])}
    assert called <= may


def test_given_the_jobs_then_training_reads_examples_and_writes_only_models(pipeline: Template) -> None:
    for role in ("TrainingRole", "PackagingRole"):
        written = [
            json.dumps(item["Resource"])
            for item in statements(pipeline, role)
            if "s3:PutObject" in as_list(item["Action"])
        ]
        assert len(written) == 1
        assert "Models" in written[0]
        assert "/flights/runs/*" in written[0]
        # What experiments leave is nothing that the packaging job could take for a run's.
        assert ("/flights/experiments/*" in written[0]) == (role == "TrainingRole")


def test_given_the_preprocessing_role_then_it_writes_only_its_workloads_runs_and_tables(
    pipeline: Template,
) -> None:
    found = statements(pipeline, "PreprocessRole")
    written = json.dumps([item["Resource"] for item in found if "s3:PutObject" in as_list(item["Action"])])
    assert "Models" not in written
    for key in re.findall(r'"(/[^"]*)"', written):
        assert key in (
            "/flights/runs/*",
            "/flights/published.json",
            "/flights/",
        )
    (catalog,) = [item for item in found if "glue:UpdateTable" in as_list(item["Action"])]
    tables = [text for text in map(json.dumps, catalog["Resource"]) if "table/" in text]
    assert all("table/millrace_dev_flights/*" in text for text in tables)


def test_given_the_preprocessing_role_then_s3a_may_look_where_it_looks(pipeline: Template) -> None:
    found = statements(pipeline, "PreprocessRole")
    (listing,) = [
        item
        for item in found
        if "s3:ListBucket" in as_list(item["Action"]) and "Lake" in json.dumps(item["Resource"])
        if "flights/*" in json.dumps(item["Condition"])
    ]
    assert set(listing["Condition"]) == {"StringLikeIfExists"}
    read = json.dumps([item["Resource"] for item in found if "s3:GetObject" in as_list(item["Action"])])
    assert {"/flights", "/flights/*"} <= set(re.findall(r'"(/[^"]*)"', read))
    assert any("s3:ListBucketMultipartUploads" in as_list(item["Action"]) for item in found)


def test_given_the_job_roles_then_they_may_encrypt_what_they_write(pipeline: Template) -> None:
    """SageMaker's and Glue's documentation ask for it of a role that writes under a key."""
    for role, key in (("PreprocessRole", "Data"), ("TrainingRole", "Models"), ("PackagingRole", "Models")):
        keys = [
            json.dumps(item["Resource"])
            for item in statements(pipeline, role)
            if "kms:Encrypt" in as_list(item["Action"])
        ]
        assert len(keys) == 1
        assert key in keys[0]


def test_given_the_preprocessing_role_then_it_may_make_log_groups_under_its_prefix_only(
    pipeline: Template,
) -> None:
    prefix = only(pipeline, "AWS::Glue::Job")["DefaultArguments"]["--custom-logGroup-prefix"]
    for item in statements(pipeline, "PreprocessRole"):
        if "logs:CreateLogGroup" in as_list(item["Action"]):
            (pattern,) = as_list(item["Resource"])
            assert f":log-group:{prefix}/*" in json.dumps(pattern)
            break
    else:
        pytest.fail("Glue cannot make its log groups")


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    """An environment that trains on spot machines with GPUs, and tells somebody by mail."""
    training = Training(instance="ml.g5.xlarge", instances=4, minutes=30, spot=True)
    settings = replace(load("dev"), training=training, alarms=Alarms(email="ops@example.com"))
    return synthesise(settings, tmp_path_factory.mktemp("unusual") / "cdk.out")


def test_given_gpus_and_spot_then_image_volume_and_waiting_follow(unusual: Synthesis) -> None:
    filled = machine(unusual.template("flights", "pipeline"))["DefinitionSubstitutions"]
    assert "-cu133-" in json.dumps(filled["TrainingImage"])
    assert "-cpu-" in json.dumps(filled["Image"]), "packaging needs no GPU"
    assert filled["TrainingVolumeKey"] == ""
    assert filled["PackageVolumeKey"] != ""
    assert (filled["TrainingInstances"], filled["TrainingSpot"]) == ("4", "true")
    assert (filled["TrainingSeconds"], filled["TrainingWaitSeconds"]) == ("1800", "3600")


def test_given_any_region_then_the_image_comes_from_that_regions_registry(dev: Synthesis) -> None:
    template = dev.template("flights", "pipeline")
    looked_up = {"Fn::FindInMap": ["ImageRegistries", {"Ref": "AWS::Region"}, "account"]}
    filled = machine(template)["DefinitionSubstitutions"]
    assert filled["Image"]["Fn::Join"][1][0] == looked_up
    assert template["Mappings"]["ImageRegistries"]["eu-south-1"] == {"account": "692866216735"}
    for role in ("TrainingRole", "PackagingRole"):
        (pull,) = [
            each for each in statements(template, role) if "ecr:BatchGetImage" in as_list(each["Action"])
        ]
        assert looked_up in pull["Resource"]["Fn::Join"][1]


def test_given_a_region_of_its_own_then_the_image_is_named_without_a_map(synthesised: Synthesise) -> None:
    template = synthesised("local").template("flights", "pipeline")
    host = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
    assert (
        machine(template)["DefinitionSubstitutions"]["Image"] == f"{host}/pytorch:2.13-cpu-amzn2023-sagemaker"
    )
    assert "ImageRegistries" not in template.get("Mappings", {})


def test_given_an_address_then_the_topic_writes_to_it(unusual: Synthesis, dev: Synthesis) -> None:
    mail = only(unusual.template("foundation"), "AWS::SNS::Subscription")
    assert (mail["Protocol"], mail["Endpoint"]) == ("email", "ops@example.com")
    assert properties(dev.template("foundation"), "AWS::SNS::Subscription") == []
