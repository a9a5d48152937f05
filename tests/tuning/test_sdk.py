"""Every request that SageMaker's SDK makes is caught: it holds before AWS's models, and is the pipeline's."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cli.sdk import REPOSITORY, python
from tests.infra.machines.interpreter import check_arguments, filled
from tests.infra.machines.test_train import KEY, NETWORK, VALUES, Services
from tuning.request import starter

pytestmark = pytest.mark.sdk

NAME = "flights-261124-0532-k7wq"
# The settings that a request may lose on its way through the SDK are all on.
SETTINGS = {"TrainingSpot": "true"} | NETWORK
PLAN: dict[str, Any] = {
    "name": NAME,
    "definition": json.dumps(filled("train", VALUES | SETTINGS)),
    "run": "run-1",
    "bucket": "millrace-models",
    "prefix": f"flights/experiments/{NAME}",
    "region": "us-east-1",
    "hyperparameters": {"epochs": "3"},
    "tags": {"project": "millrace", "environment": "dev", "workload": "flights"},
}
SEARCH = {
    "metric": "validate_auc",
    "direction": "Maximize",
    "trials": 5,
    "parallel": 2,
    "seed": 7,
    "ranges": [
        {"name": "learning_rate", "low": 1e-4, "high": 1e-2, "scale": "Logarithmic", "whole": False},
        {"name": "embedding", "low": 2, "high": 8, "scale": "Linear", "whole": True},
        {"name": "hidden", "values": ["64", "128,64"]},
    ],
}
TAGS = [
    {"Key": "project", "Value": "millrace"},
    {"Key": "environment", "Value": "dev"},
    {"Key": "workload", "Value": "flights"},
]


class Recorder(http.server.BaseHTTPRequestHandler):
    """Stands for all of AWS, and for every other host by way of a proxy: notes what comes, knows nothing."""

    made: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target")
        operation = target.split(".")[-1] if target else f"{self.command} {self.path}"
        self.made.append({"operation": operation, "body": body, "headers": dict(self.headers)})
        self._answer(ANSWERS.get(operation))

    def _answer(self, content: Any) -> None:
        data = b"" if content is None else json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


for verb in ("GET", "PUT", "HEAD", "DELETE", "CONNECT"):
    setattr(Recorder, f"do_{verb}", Recorder.do_POST)

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
ANSWERS: dict[str, Any] = {
    "CreateTrainingJob": {"TrainingJobArn": f"{ARN}:training-job/{NAME}"},
    "DescribeTrainingJob": {"TrainingJobName": NAME, "TrainingJobArn": f"{ARN}:training-job/{NAME}"},
    "CreateHyperParameterTuningJob": {
        "HyperParameterTuningJobArn": f"{ARN}:hyper-parameter-tuning-job/{NAME}"
    },
    "DescribeHyperParameterTuningJob": {"HyperParameterTuningJobName": NAME},
}


@contextmanager
def recorder() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """What is asked of AWS, and the address to ask at."""
    made: list[dict[str, Any]] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Recorder,), {"made": made}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def begin(plan: dict[str, Any], address: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    reached = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "HTTPS_PROXY": address,
        "https_proxy": address,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    child = subprocess.Popen(
        [str(python()), "-m", "tuning"],
        cwd=REPOSITORY,
        env=kept | reached,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(plan))
    child.stdin.flush()
    return child


Asked = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def asked() -> Asked:
    """What an experiment and a search ask, both at once: loading the SDK takes seconds."""
    with recorder() as (one, first), recorder() as (two, second):
        children = [begin(PLAN, first), begin({**PLAN, "search": SEARCH}, second)]
        for child in children:
            told, errors = child.communicate(timeout=200)
            assert child.returncode == 0, told + errors
    return {"experiment": one, "search": two}


def sent(asked: Asked, kind: str, operation: str) -> dict[str, Any]:
    (found,) = [each for each in asked[kind] if each["operation"] == operation]
    return dict(json.loads(found["body"]))


def pipelines() -> dict[str, Any]:
    """What the pipeline's own job asks for, written where an experiment writes."""
    job = Services().run({"hyperparameters": {"epochs": "3"}}, **SETTINGS).arguments("Train")
    folder = f"s3://millrace-models/flights/experiments/{NAME}"
    job["OutputDataConfig"]["S3OutputPath"] = f"{folder}/training"
    job["CheckpointConfig"]["S3Uri"] = f"{folder}/checkpoints"
    return {**job, "TrainingJobName": NAME}


def test_an_experiment_asks_for_what_the_pipeline_asks_for_and_says_whose_it_is(asked: Asked) -> None:
    request = sent(asked, "experiment", "CreateTrainingJob")
    assert request.pop("Tags") == TAGS
    assert request == pipelines()


def test_a_search_s_trials_ask_for_what_the_pipeline_asks_for(asked: Asked) -> None:
    trial = sent(asked, "search", "CreateHyperParameterTuningJob")["TrainingJobDefinition"]
    job = pipelines()
    # No trial has these: the service names it, it is started by a script, and it has no profiler.
    for name in ("TrainingJobName", "ProfilerConfig"):
        job.pop(name)
    job["AlgorithmSpecification"].pop("ContainerEntrypoint")
    *channels, added = trial["InputDataConfig"]
    assert added["ChannelName"] == "starter"
    fixed = trial.pop("StaticHyperParameters")
    assert fixed.pop("sagemaker_program") == "start.sh"
    assert fixed.pop("sagemaker_submit_directory") == "/opt/ml/input/data/starter"
    assert {**trial, "InputDataConfig": channels, "HyperParameters": fixed} == job


def test_given_a_network_of_the_environment_s_own_then_experiments_and_trials_run_in_it(asked: Asked) -> None:
    wanted = {
        "Subnets": [NETWORK["SubnetA"], NETWORK["SubnetB"]],
        "SecurityGroupIds": [NETWORK["SecurityGroup"]],
    }
    trial = sent(asked, "search", "CreateHyperParameterTuningJob")["TrainingJobDefinition"]
    assert trial["VpcConfig"] == sent(asked, "experiment", "CreateTrainingJob")["VpcConfig"] == wanted


def test_a_search_asks_for_the_plan_s_ranges_limits_and_objective(asked: Asked) -> None:
    request = sent(asked, "search", "CreateHyperParameterTuningJob")
    config = request["HyperParameterTuningJobConfig"]
    assert request["HyperParameterTuningJobName"] == NAME
    assert request["Tags"] == TAGS
    assert (config["Strategy"], config["RandomSeed"]) == ("Bayesian", 7)
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 5, "MaxParallelTrainingJobs": 2}
    assert config["HyperParameterTuningJobObjective"] == {"Type": "Maximize", "MetricName": "validate_auc"}
    number = {"Name": "learning_rate", "MinValue": "0.0001", "MaxValue": "0.01", "ScalingType": "Logarithmic"}
    whole = {"Name": "embedding", "MinValue": "2", "MaxValue": "8", "ScalingType": "Linear"}
    assert config["ParameterRanges"] == {
        "ContinuousParameterRanges": [number],
        "IntegerParameterRanges": [whole],
        "CategoricalParameterRanges": [{"Name": "hidden", "Values": ["64", "128,64"]}],
    }


def test_the_starter_is_uploaded_under_the_models_key(asked: Asked) -> None:
    (upload,) = [each for each in asked["search"] if each["operation"].startswith("PUT")]
    path = f"/millrace-models/flights/experiments/{NAME}/starter/start.sh"
    assert upload["operation"].partition("?")[0] == f"PUT {path}"
    assert upload["headers"]["x-amz-server-side-encryption-aws-kms-key-id"] == KEY
    assert starter(pipelines()).encode() in upload["body"]


def test_every_request_holds_before_aws_s_models_and_none_goes_elsewhere(asked: Asked) -> None:
    made = [each for kind in asked.values() for each in kind if not each["operation"].startswith("PUT")]
    known = {name for name in ANSWERS if "Job" in name}
    assert {each["operation"] for each in made} <= known
    for each in made:
        name = each["operation"][0].lower() + each["operation"][1:]
        check_arguments(f"sagemaker:{name}", json.loads(each["body"]))
