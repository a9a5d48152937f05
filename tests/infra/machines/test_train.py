"""The training machine, run with services that the tests answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.machines import machine, placeholders

from .interpreter import Handler, Run, ServiceError, execute

MODELS, LAKE, KEY = "millrace-models", "millrace-lake", "arn:aws:kms:us-east-1:000000000000:key/abc"
ROLE = "arn:aws:iam::000000000000:role/job"
GROUP = "millrace-dev-flights"
PACKAGE = f"arn:aws:sagemaker:us-east-1:000000000000:model-package/{GROUP}/3"
VALUES = {
    "Environment": "dev", "Workload": "flights", "Lake": LAKE, "Models": MODELS,
    "GlueJob": "millrace-dev-flights-preprocess", "Database": "millrace_dev_flights",
    "Code": "s3://assets/code.zip", "ContractSha256": "c0ffee", "GitCommit": "abc123",
    "TrainingImage": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cu133-amzn2023-sagemaker",
    "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker",
    "ModelsKey": KEY, "TrainingRole": ROLE, "TrainingInstanceType": "ml.m5.xlarge", "TrainingInstances": "2",
    "TrainingVolumeGb": "30", "TrainingVolumeKey": KEY, "TrainingSeconds": "3600", "TrainingSpot": "false",
    "TrainingWaitSeconds": "7200", "PackageRole": ROLE, "PackageInstanceType": "ml.m5.large",
    "PackageVolumeGb": "30", "PackageVolumeKey": KEY, "PackageSeconds": "3600",
    "ChampionParameter": "/millrace/dev/flights/champion", "PackageGroup": GROUP, "AutoApprove": "true",
    "TopicArn": "arn:aws:sns:us-east-1:000000000000:operations",
}  # fmt: skip
NETWORK = {"SubnetA": "subnet-1", "SubnetB": "subnet-2", "SecurityGroup": "sg-1"}
"""What else is filled in where the environment has a network of its own."""


class Services:
    """A world in which all goes well, unless a test replaces an answer."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.messages: list[dict[str, str]] = []
        self.champion: dict[str, str] = {}
        self.passing: dict[str, Any] = {"passed": True, "reasons": [], "metrics": {"test_auc": 0.72}}
        self.handlers: dict[str, Handler] = {
            "glue:startJobRun": lambda _: {"JobRunState": "SUCCEEDED"},
            "sagemaker:createTrainingJob": self.train,
            "sagemaker:createProcessingJob": self.package,
            "ssm:getParameter": lambda _: {"Parameter": {"Value": json.dumps(self.champion)}},
            "sagemaker:createModelPackage": lambda _: {"ModelPackageArn": PACKAGE},
            "sagemaker:updateModelPackage": lambda _: {"ModelPackageArn": PACKAGE},
            "s3:getObject": self.get,
            "s3:putObject": self.put,
            "sns:publish": self.publish,
        }

    def train(self, job: dict[str, Any]) -> dict[str, Any]:
        artifact = f"{job['OutputDataConfig']['S3OutputPath']}/{job['TrainingJobName']}/output/model.tar.gz"
        return {"TrainingJobStatus": "Completed", "ModelArtifacts": {"S3ModelArtifacts": artifact}}

    def package(self, job: dict[str, Any]) -> dict[str, Any]:
        output = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"]
        self.objects[f"{output}/verdict.json"] = json.dumps(self.passing)
        return {"ProcessingJobStatus": "Completed"}

    def get(self, wanted: dict[str, str]) -> dict[str, str]:
        uri = f"s3://{wanted['Bucket']}/{wanted['Key']}"
        if uri not in self.objects:
            raise ServiceError("S3.NoSuchKeyException", "The specified key does not exist.")
        return {"Body": self.objects[uri]}

    def put(self, written: dict[str, Any]) -> dict[str, str]:
        self.objects[f"s3://{written['Bucket']}/{written['Key']}"] = json.dumps(written["Body"])
        return {"ETag": "e"}

    def publish(self, message: dict[str, str]) -> dict[str, str]:
        self.messages.append(message)
        return {"MessageId": "1"}

    def run(self, input: Any = None, *, run: str = "run-1", **values: str) -> Run:
        return execute("train", VALUES | values, input or {}, self.handlers, run=run)


@pytest.fixture
def services() -> Services:
    return Services()


def failing(error: str, cause: str) -> Handler:
    def fail(_: dict[str, Any]) -> Any:
        raise ServiceError(error, cause)

    return fail


def test_values_fill_every_placeholder() -> None:
    assert set(VALUES) == placeholders("train")


def test_given_a_network_then_both_jobs_run_in_it_and_else_nothing_names_one(services: Services) -> None:
    without = services.run()
    assert not [call for call in without.calls if "VpcConfig" in json.dumps(call[2])]

    assert set(VALUES | NETWORK) == placeholders("train", network=True)
    run = services.run(**NETWORK)
    assert run.status == "SUCCEEDED", run.cause
    wanted = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert run.arguments("Train")["VpcConfig"] == wanted
    assert run.arguments("Package")["NetworkConfig"]["VpcConfig"] == wanted
    assert run.problems == []


def test_given_all_goes_well_then_the_package_is_registered_and_approved(services: Services) -> None:
    run = services.run()
    assert run.status == "SUCCEEDED", run.cause
    assert run.output == {
        "run": "run-1", "package": PACKAGE, "approved": True, "metrics": {"test_auc": 0.72}
    }  # fmt: skip
    registered = run.arguments("Register")
    assert registered["ModelApprovalStatus"] == "PendingManualApproval"
    assert registered["CustomerMetadataProperties"] == {
        "run": "run-1",
        "bundle": f"s3://{MODELS}/flights/runs/run-1/bundle/",
        "layer": "flights/runs/run-1/bundle/layer.zip",
        "contract": "c0ffee",
    }
    assert run.arguments("Approve")["ModelApprovalStatus"] == "Approved"
    assert not services.messages


def test_given_manual_approval_then_the_package_waits_and_people_are_told(services: Services) -> None:
    run = services.run(AutoApprove="false")
    assert run.status == "SUCCEEDED", run.cause
    assert "Approve" not in run.path
    assert PACKAGE in services.messages[0]["Message"]


def test_when_preprocessing_starts_then_the_job_learns_its_places(services: Services) -> None:
    assert services.run().arguments("Preprocess") == {
        "JobName": "millrace-dev-flights-preprocess",
        "Arguments": {
            "--workload": "flights",
            "--raw": f"s3://{LAKE}/flights/raw",
            "--output": f"s3://{LAKE}/flights/runs/run-1",
            "--published": f"s3://{LAKE}/flights/published.json",
            "--database": "millrace_dev_flights",
        },
    }


def test_given_overrides_then_they_are_texts_beside_workload_and_run(services: Services) -> None:
    job = services.run({"hyperparameters": {"epochs": 3, "hidden": "64,32"}}).arguments("Train")
    assert job["HyperParameters"] == {"epochs": "3", "hidden": "64,32", "workload": "flights", "run": "run-1"}


def test_given_no_overrides_when_training_then_only_workload_and_run_are_passed(services: Services) -> None:
    assert services.run().arguments("Train")["HyperParameters"] == {"workload": "flights", "run": "run-1"}


def test_when_training_then_the_job_is_isolated_encrypted_and_resumable(services: Services) -> None:
    job = services.run().arguments("Train")
    assert job["EnableNetworkIsolation"] is True
    assert job["EnableInterContainerTrafficEncryption"] is True
    assert job["ResourceConfig"]["VolumeKmsKeyId"] == job["OutputDataConfig"]["KmsKeyId"] == KEY
    assert job["CheckpointConfig"]["S3Uri"] == f"s3://{MODELS}/flights/runs/run-1/checkpoints"
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600}


def test_given_instances_with_own_disks_when_training_then_no_volume_key_is_named(services: Services) -> None:
    run = services.run(TrainingVolumeKey="", PackageVolumeKey="")
    assert "VolumeKmsKeyId" not in run.arguments("Train")["ResourceConfig"]
    assert "VolumeKmsKeyId" not in run.arguments("Package")["ProcessingResources"]["ClusterConfig"]


def test_given_spot_when_training_then_waiting_is_bounded(services: Services) -> None:
    job = services.run(TrainingSpot="true").arguments("Train")
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200}


def test_given_a_champion_when_packaging_then_its_bundle_is_an_input(services: Services) -> None:
    def inputs() -> dict[str, str]:
        job = services.run().arguments("Package")
        return {item["InputName"]: item["S3Input"]["S3Uri"] for item in job["ProcessingInputs"]}

    assert set(inputs()) == {"code", "model", "examples", "unlabelled", "reports"}
    services.champion = {"bundle": f"s3://{MODELS}/flights/runs/old/bundle/"}
    assert inputs()["champion"] == services.champion["bundle"]
    assert inputs()["model"].endswith("/output/model.tar.gz")


def test_given_a_throttled_start_when_tried_again_then_the_job_has_another_name(services: Services) -> None:
    names: list[str] = []

    def throttled_once(job: dict[str, Any]) -> dict[str, Any]:
        names.append(job["TrainingJobName"])
        if len(names) == 1:
            raise ServiceError("SageMaker.ThrottlingException", "Rate exceeded")
        return services.train(job)

    services.handlers["sagemaker:createTrainingJob"] = throttled_once
    assert services.run(run="A_very.long-name_of.a-run" * 3).status == "SUCCEEDED"
    assert len(set(names)) == 2


def test_given_no_capacity_when_it_comes_later_then_training_goes_on(services: Services) -> None:
    tries: list[str] = []

    def scarce(job: dict[str, Any]) -> dict[str, Any]:
        tries.append(job["TrainingJobName"])
        if len(tries) < 3:
            raise ServiceError("States.TaskFailed", '{"FailureReason": "CapacityError: Unable"}')
        return services.train(job)

    services.handlers["sagemaker:createTrainingJob"] = scarce
    assert services.run().status == "SUCCEEDED"
    assert len(set(tries)) == 3


def test_given_no_capacity_at_all_when_training_then_it_gives_up_with_the_reason(services: Services) -> None:
    reason = json.dumps({"FailureReason": "CapacityError: Unable to provision"})
    services.handlers["sagemaker:createTrainingJob"] = failing("States.TaskFailed", reason)
    run = services.run()
    assert (run.status, run.cause) == ("FAILED", "CapacityError: Unable to provision")
    assert run.path.count("Train") == 4


@pytest.mark.parametrize(
    ("call", "state", "cause", "reason"),
    [
        (
            "glue:startJobRun", "Preprocess",
            json.dumps({"Arguments": {"--x": "y"}, "ErrorMessage": 'rule "rows" is 12, not 100\nend'}),
            'rule "rows" is 12, not 100\nend',
        ),
        (
            "sagemaker:createTrainingJob", "Train",
            json.dumps({"FailureReason": "AlgorithmError: loss is NaN", "Other": {}})[:-3],
            "AlgorithmError: loss is NaN",
        ),
        (
            "sagemaker:createProcessingJob", "Package",
            json.dumps({"ExitMessage": "parity 1e-3", "FailureReason": "AlgorithmError: exit code 1"}),
            "parity 1e-3 | AlgorithmError: exit code 1",
        ),
        ("ssm:getParameter", "FindChampion", "Parameter not found.", "Parameter not found."),
        ("sagemaker:createModelPackage", "Register", "", "no cause was reported"),
        ("sagemaker:updateModelPackage", "Approve", "denied", "denied"),
    ],
)  # fmt: skip
def test_given_a_failing_task_when_caught_then_people_are_told_the_root_cause(
    services: Services, call: str, state: str, cause: str, reason: str
) -> None:
    services.handlers[call] = failing("States.TaskFailed", cause)
    run = services.run()
    assert (run.status, run.error, run.cause) == ("FAILED", "States.TaskFailed", reason)
    message = services.messages[-1]["Message"]
    assert all(text in message for text in (f"state: {state}", f"cause: {reason}", "--resume run-1", "run-1"))


def test_given_a_refused_model_when_gated_then_nothing_is_registered(services: Services) -> None:
    reasons = ["test AUC 0.61 is below 0.70", "worse than the champion"]
    services.passing = {"passed": False, "reasons": reasons}
    run = services.run()
    assert (run.status, run.error) == ("FAILED", "Millrace.GateNotMet")
    assert "test AUC 0.61 is below 0.70; worse than the champion" in run.cause
    assert "Register" not in run.path


def test_given_an_unreachable_topic_then_the_cause_is_still_the_root_cause(services: Services) -> None:
    services.handlers["glue:startJobRun"] = failing("States.TaskFailed", '{"ErrorMessage": "no table"}')
    services.handlers["s3:putObject"] = failing("S3.S3Exception", "denied")
    services.handlers["sns:publish"] = failing("SNS.AuthorizationErrorException", "denied")
    assert services.run().cause == "no table"


@pytest.mark.parametrize(
    ("call", "first"),
    [
        ("glue:startJobRun", "Preprocess"),
        ("sagemaker:createTrainingJob", "Train"),
        ("sagemaker:createProcessingJob", "FindChampion"),
        ("sagemaker:createModelPackage", "ReadVerdict"),
        ("sagemaker:updateModelPackage", "ReadVerdict"),
    ],
)
def test_given_a_failed_run_when_resumed_then_it_goes_on_where_it_stopped(
    services: Services, call: str, first: str
) -> None:
    works = services.handlers[call]
    services.handlers[call] = failing("States.TaskFailed", "mended soon")
    assert services.run({"hyperparameters": {"epochs": "3"}}).status == "FAILED"
    services.handlers[call] = works
    resumed = services.run({"resume": "run-1"}, run="run-1-again")
    assert resumed.status == "SUCCEEDED", resumed.cause
    assert resumed.path[:4] == ["Begin", "ReadResumePoint", "Resume", first]
    assert resumed.output["run"] == "run-1"
    if first in ("Preprocess", "Train"):
        assert resumed.arguments("Train")["HyperParameters"]["epochs"] == "3"
    if call == "sagemaker:updateModelPackage":
        assert "Register" not in resumed.path


def test_given_a_run_that_never_failed_when_resumed_then_it_says_so(services: Services) -> None:
    run = services.run({"resume": "unknown"})
    assert (run.status, run.error) == ("FAILED", "Millrace.NothingToResume")
    assert "run unknown left no readable resume.json" in run.cause


def test_every_state_is_run_by_some_test_above(services: Services) -> None:
    """Each call's arguments are checked as it runs, so a state that no run enters is a call unchecked."""
    paths = set(services.run().path) | set(services.run(AutoApprove="false").path)
    services.handlers["sagemaker:createTrainingJob"] = failing("States.TaskFailed", "CapacityError")
    paths |= set(services.run().path) | set(services.run({"resume": "run-1"}).path)
    assert paths == set(machine("train")["States"])
