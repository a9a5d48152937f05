"""Training jobs run: real processes, a container's folders, SageMaker's ways to end."""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.executors import process
from tests.local.conftest import eventually

AWS = Callable[[str], Any]

TRAIN = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = json.loads((base / "input/config/resourceconfig.json").read_text())
hyper = json.loads((base / "input/config/hyperparameters.json").read_text())
rows = sum(len(f.read_text().splitlines()) for f in (base / "input/data/examples").rglob("*.csv"))
print("seen", config["current_host"], config["hosts"], config["network_interface_name"], rows, flush=True)
print("argument", sys.argv[1], "has credentials", "AWS_ACCESS_KEY_ID" in os.environ, flush=True)
checkpoint = base / "checkpoints" / "epoch"
epoch = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
checkpoint.write_text(str(epoch))
if config["current_host"] == config["hosts"][0]:
    print(f"millrace epoch={epoch} validate_auc=0.{epoch}5", flush=True)
    (base / "model" / "weights.txt").write_text(f"{hyper['rate']} {rows} {epoch}")
"""


@pytest.fixture
def request_for(bucket: str, upload: Callable[[str, str], str]) -> Callable[..., dict[str, Any]]:
    """A function that gives a CreateTrainingJob request for a script."""

    def make(script: str, **changes: Any) -> dict[str, Any]:
        name = f"job-{uuid.uuid4().hex[:8]}"
        upload(f"{name}/code/train.py", script)
        upload(f"{name}/examples/part-1.csv", "1\n2\n3\n")
        upload(f"{name}/examples/deep/part-2.csv", "4\n")
        channels = [
            {
                "ChannelName": channel,
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/{name}/{channel}/"}
                },
            }
            for channel in ("code", "examples")
        ]
        return {
            "TrainingJobName": name,
            "RoleArn": "arn:aws:iam::000000000000:role/training",
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["bash", "-c", 'exec python3 /opt/ml/input/data/code/train.py "$0"'],
                "ContainerArguments": ["/opt/ml/model"],
                "MetricDefinitions": [{"Name": "validate_auc", "Regex": r"\bvalidate_auc=([0-9.]+)"}],
            },
            "HyperParameters": {"rate": "0.1"},
            "InputDataConfig": channels,
            "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{name}/training"},
            "CheckpointConfig": {"S3Uri": f"s3://{bucket}/{name}/checkpoints"},
            "ResourceConfig": {"InstanceType": "ml.m6i.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            **changes,
        }

    return make


def run(aws: AWS, request: dict[str, Any]) -> dict[str, Any]:
    aws("sagemaker").create_training_job(**request)
    return ended(aws, request["TrainingJobName"])


def ended(aws: AWS, name: str) -> dict[str, Any]:
    def look() -> Any:
        job = aws("sagemaker").describe_training_job(TrainingJobName=name)
        return job if job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

    return dict(eventually(look))


def lines(aws: AWS, job: str, host: int = 1) -> list[str]:
    stream = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": f"{job}/algo-{host}"}
    return [event["message"] for event in aws("logs").get_log_events(**stream)["events"]]


def test_given_two_hosts_when_trained_then_model_logs_metrics_and_checkpoints_are_theirs(
    aws: AWS, request_for: Callable[..., dict[str, Any]], read: Callable[[str], bytes]
) -> None:
    hosts = {"InstanceType": "ml.m6i.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    request = request_for(TRAIN, ResourceConfig=hosts)
    name = request["TrainingJobName"]

    job = run(aws, request)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    with tarfile.open(fileobj=io.BytesIO(read(f"{name}/training/{name}/output/model.tar.gz"))) as archive:
        weights = archive.extractfile("weights.txt")
        assert weights is not None
        assert weights.read() == b"0.1 4 1"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith(f"{name}/output/model.tar.gz")
    assert "seen 127.0.0.2 ['127.0.0.1', '127.0.0.2'] lo 4" in lines(aws, name, 2)
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(0.15)
    assert read(f"{name}/checkpoints/epoch") == b"1"
    statuses = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert statuses == ["Downloading", "Training", "Uploading", "Completed"]


def test_given_a_checkpoint_when_trained_then_it_is_restored_and_paths_are_the_hosts_own(
    aws: AWS,
    request_for: Callable[..., dict[str, Any]],
    upload: Callable[[str, str], str],
    read: Callable[[str], bytes],
) -> None:
    request = request_for(TRAIN, EnableNetworkIsolation=True)
    name = request["TrainingJobName"]
    upload(f"{name}/checkpoints/epoch", "6")

    job = run(aws, request)

    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(0.75)
    assert read(f"{name}/checkpoints/epoch") == b"7"
    said = next(line for line in lines(aws, name) if line.startswith("argument"))
    assert "/opt/ml" not in said
    assert said.endswith("algo-1/model has credentials False")


def test_given_a_script_that_raises_when_trained_then_the_reason_is_its_error(
    aws: AWS, request_for: Callable[..., dict[str, Any]]
) -> None:
    job = run(aws, request_for("print('at work')\nraise ValueError('the label has one value only')"))

    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: ValueError: the label has one value only, exit code: 1"
    assert "at work" in lines(aws, job["TrainingJobName"])


def test_given_a_failure_file_when_trained_then_the_reason_is_what_it_says(
    aws: AWS, request_for: Callable[..., dict[str, Any]]
) -> None:
    script = (
        "import os, pathlib, sys\n"
        "pathlib.Path(os.environ['SAGEMAKER_BASE_DIR'], 'output/failure').write_text('no rows')\n"
        "sys.exit(3)"
    )

    job = run(aws, request_for(script))

    assert job["FailureReason"] == "AlgorithmError: no rows, exit code: 3"


def test_given_an_empty_channel_when_trained_then_it_fails_as_on_aws(
    aws: AWS, bucket: str, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for(TRAIN)
    request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{bucket}/nowhere/"

    job = run(aws, request)

    assert job["TrainingJobStatus"] == "Failed"
    assert f'No S3 objects found under S3 URL "s3://{bucket}/nowhere/"' in job["FailureReason"]


@pytest.mark.parametrize("by", ["limit", "call"])
def test_given_an_endless_job_when_its_time_is_over_or_it_is_stopped_then_its_processes_end(
    by: str, aws: AWS, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for("", StoppingCondition={"MaxRuntimeInSeconds": 3 if by == "limit" else 60})
    # Nothing that takes long to start: it must have spoken before its time is over.
    endless = "setsid sleep 99 & echo pids $$ $!; sleep 99"
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["bash", "-c", endless]
    aws("sagemaker").create_training_job(**request)
    name = request["TrainingJobName"]
    said = eventually(lambda: [line for line in _lines_if_any(aws, name) if line.startswith("pids")])
    if by == "call":
        aws("sagemaker").stop_training_job(TrainingJobName=name)

    job = ended(aws, name)

    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == {"limit": "MaxRuntimeExceeded", "call": "Stopped"}[by]
    assert not any(process.alive(int(pid)) for pid in said[0].split()[1:])


def _lines_if_any(aws: AWS, name: str) -> list[str]:
    try:
        return lines(aws, name)
    except aws("logs").exceptions.ResourceNotFoundException:
        return []


def test_given_a_name_that_was_used_when_created_again_then_it_is_refused(
    aws: AWS, request_for: Callable[..., dict[str, Any]]
) -> None:
    request = request_for("pass")
    run(aws, request)

    with pytest.raises(ClientError, match="ResourceInUse"):
        aws("sagemaker").create_training_job(**request)


def test_given_a_processing_job_when_run_then_inputs_and_outputs_are_at_their_paths(
    aws: AWS, bucket: str, upload: Callable[[str, str], str], read: Callable[[str], bytes]
) -> None:
    upload("pack/model/weights.txt", "42")
    script = "cp /opt/ml/processing/input/model/weights.txt /opt/ml/processing/output/bundle.txt"

    job = _process(aws, bucket, ["bash", "-c", script])

    assert job["ProcessingJobStatus"] == "Completed", job.get("FailureReason")
    assert read("pack/bundle/bundle.txt") == b"42"


def test_given_a_processing_job_that_fails_when_run_then_nothing_is_uploaded_and_the_reason_is_told(
    aws: AWS, bucket: str, upload: Callable[[str, str], str]
) -> None:
    upload("pack/model/weights.txt", "42")
    script = "touch /opt/ml/processing/output/half.txt; echo the export broke >&2; exit 2"

    job = _process(aws, bucket, ["bash", "-c", script])

    assert job["FailureReason"] == "AlgorithmError: the export broke, exit code: 2"
    kept = aws("s3").list_objects_v2(Bucket=bucket, Prefix="pack/bundle/half.txt")
    assert kept["KeyCount"] == 0


def _process(aws: AWS, bucket: str, entrypoint: list[str]) -> dict[str, Any]:
    name = f"pack-{uuid.uuid4().hex[:8]}"
    cluster = {"InstanceCount": 1, "InstanceType": "ml.m6i.large", "VolumeSizeInGB": 1}
    source = {"S3Uri": f"s3://{bucket}/pack/model/", "LocalPath": "/opt/ml/processing/input/model"}
    target = {"S3Uri": f"s3://{bucket}/pack/bundle/", "LocalPath": "/opt/ml/processing/output"}
    aws("sagemaker").create_processing_job(
        ProcessingJobName=name,
        RoleArn="arn:aws:iam::000000000000:role/packaging",
        ProcessingResources={"ClusterConfig": cluster},
        AppSpecification={"ImageUri": "image", "ContainerEntrypoint": entrypoint},
        ProcessingInputs=[
            {"InputName": "model", "S3Input": {**source, "S3DataType": "S3Prefix", "S3InputMode": "File"}}
        ],
        ProcessingOutputConfig={
            "Outputs": [{"OutputName": "bundle", "S3Output": {**target, "S3UploadMode": "EndOfJob"}}]
        },
    )

    def look() -> Any:
        job = aws("sagemaker").describe_processing_job(ProcessingJobName=name)
        return job if job["ProcessingJobStatus"] in {"Completed", "Failed", "Stopped"} else None

    return dict(eventually(look))
