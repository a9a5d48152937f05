"""Tuning jobs run: real trials, no more at a time than asked for, and the best of them is told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator.tuning import Searches
from tests.local.conftest import eventually

AWS = Callable[[str], Any]
Request = dict[str, Any]

STARTER = """\
#!/usr/bin/env bash
python3 /opt/ml/code/trial.py
"""
TRIAL = """\
import json, os, pathlib, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
given = json.loads((base / "input/config/hyperparameters.json").read_text())
print("threads", os.environ["OMP_NUM_THREADS"], "objective", given["_tuning_objective_metric"], flush=True)
if given["mode"] == "wait":
    time.sleep(99)
if given["mode"] == "fail":
    raise ValueError("no rows")
print("millrace validate_auc=0.1 of an epoch", flush=True)
print("millrace validate_auc=" + given["rate"], flush=True)
(base / "model" / "weights.txt").write_text(given["rate"])
"""


@pytest.fixture
def request_for(bucket: str, upload: Callable[[str, str], str]) -> Callable[..., Request]:
    """A function that gives a CreateHyperParameterTuningJob request whose trials do what ``mode`` says."""

    def make(mode: str, **limits: Any) -> Request:
        name = f"search-{uuid.uuid4().hex[:8]}"
        upload(f"{name}/starter/start.sh", STARTER)
        starter = upload(f"{name}/starter/trial.py", TRIAL).rpartition("trial.py")[0]
        source = {"S3DataType": "S3Prefix", "S3Uri": starter}
        rate = {"Name": "rate", "MinValue": "0.2", "MaxValue": "0.9"}
        return {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "RandomSeed": 7,
                "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "validate_auc"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2, **limits},
                "ParameterRanges": {"ContinuousParameterRanges": [rate]},
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": {
                    "mode": mode,
                    "sagemaker_program": "start.sh",
                    "sagemaker_submit_directory": "/opt/ml/input/data/starter",
                },
                "AlgorithmSpecification": {
                    "TrainingImage": "image",
                    "TrainingInputMode": "File",
                    "MetricDefinitions": [{"Name": "validate_auc", "Regex": r"\bvalidate_auc=([0-9.]+)"}],
                },
                "RoleArn": "arn:aws:iam::000000000000:role/training",
                "InputDataConfig": [{"ChannelName": "starter", "DataSource": {"S3DataSource": source}}],
                "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/{name}/training"},
                "ResourceConfig": {"InstanceType": "ml.m6i.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
                "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            },
        }

    return make


def started(aws: AWS, request: Request) -> str:
    aws("sagemaker").create_hyper_parameter_tuning_job(**request)
    return str(request["HyperParameterTuningJobName"])


def ended(aws: AWS, name: str) -> dict[str, Any]:
    def look() -> Any:
        job = aws("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        return job if job["HyperParameterTuningJobStatus"] in {"Completed", "Failed", "Stopped"} else None

    return dict(eventually(look))


def trials_of(aws: AWS, name: str) -> list[dict[str, Any]]:
    listed = aws("sagemaker").list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    return list(listed["TrainingJobSummaries"])


def final(trial: dict[str, Any]) -> float:
    return float(trial["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def test_given_a_search_when_it_ends_then_its_best_trial_is_the_one_with_the_best_last_value(
    aws: AWS, request_for: Callable[..., Request], read: Callable[[str], bytes]
) -> None:
    name = started(aws, request_for("train"))

    job = ended(aws, name)

    trials = trials_of(aws, name)
    assert [each["TrainingJobStatus"] for each in trials] == ["Completed"] * 3, trials
    reached = {
        each["TrainingJobName"]: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for each in trials
    }
    for each in trials:
        asked = float(each["TunedHyperParameters"]["rate"])
        assert reached[each["TrainingJobName"]] == pytest.approx(asked, rel=1e-6)
    assert job["BestTrainingJob"]["TrainingJobName"] == max(reached, key=lambda trial: reached[trial])
    assert job["TrainingJobStatusCounters"]["Completed"] == job["ObjectiveStatusCounters"]["Succeeded"] == 3
    trial = aws("sagemaker").describe_training_job(TrainingJobName=trials[0]["TrainingJobName"])
    assert trial["TuningJobArn"] == job["HyperParameterTuningJobArn"]
    assert trial["ModelArtifacts"]["S3ModelArtifacts"].startswith(f"s3://lake/{name}/training/{name}-003-")
    assert read(f"{name}/training/{trials[0]['TrainingJobName']}/output/model.tar.gz")


def test_given_a_search_that_runs_when_stopped_then_its_trials_end_and_no_other_begins(
    aws: AWS, request_for: Callable[..., Request]
) -> None:
    name = started(aws, request_for("wait", MaxNumberOfTrainingJobs=9))
    eventually(lambda: [each for each in trials_of(aws, name) if "TrainingStartTime" in each])

    aws("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)

    assert ended(aws, name)["HyperParameterTuningJobStatus"] == "Stopped"
    trials = trials_of(aws, name)
    assert 1 <= len(trials) <= 2
    assert {each["TrainingJobStatus"] for each in trials} == {"Stopped"}
    with pytest.raises(ClientError, match="already Stopped"):
        aws("sagemaker").stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_given_trials_that_all_fail_when_they_ended_then_the_first_reason_is_told(
    aws: AWS, request_for: Callable[..., Request]
) -> None:
    name = started(aws, request_for("fail", MaxNumberOfTrainingJobs=1, MaxParallelTrainingJobs=1))

    job = ended(aws, name)

    assert job["HyperParameterTuningJobStatus"] == "Failed"
    assert "ValueError: no rows" in job["FailureReason"]
    assert "BestTrainingJob" not in job


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Strategy": "Hyperband"}, "searches by Bayesian, Grid, Random only"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"}},
            "the objective metric loss is not among",
        ),
    ],
)
def test_given_what_cannot_be_searched_when_created_then_it_is_refused(
    aws: AWS, request_for: Callable[..., Request], change: dict[str, Any], message: str
) -> None:
    request = request_for("train")
    request["HyperParameterTuningJobConfig"] |= change
    with pytest.raises(ClientError, match=message):
        started(aws, request)


def test_given_a_search_that_ran_when_the_environment_starts_again_then_it_has_failed(
    request_for: Callable[..., Request],
) -> None:
    # Given what an environment saved while a search ran
    request = {**request_for("train"), "HyperParameterTuningJobStatus": "InProgress"}
    saved = {"record": request, "names": ["one"], "tuned": {"one": {"rate": "0.5"}}}
    trial = {"TrainingJobName": "one", "TrainingJobStatus": "Failed"}
    # When another one takes it over
    searches = Searches(lambda _, __: {}, lambda _: trial, lambda _: {})
    searches.restore({"search": saved})
    # Then nobody waits for it in vain
    told = searches.describe({"HyperParameterTuningJobName": "search"})
    assert told["HyperParameterTuningJobStatus"] == "Failed"
    assert "was stopped while the search ran" in told["FailureReason"]
    assert searches.state()["search"]["names"] == ["one"]
