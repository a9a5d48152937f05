"""An experiment asks for what the deployed train state asks for; the two are never written twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.machines.interpreter import filled
from tests.infra.machines.test_train import VALUES, Services
from tuning.request import (
    RequestError,
    moved,
    pipeline_request,
    started_by_script,
    starter,
)

DEFINITION = json.dumps(filled("train", VALUES))
FOLDER = "s3://millrace-models/flights/experiments/e1"


def request(**hyperparameters: str) -> dict[str, Any]:
    return pipeline_request(DEFINITION, "run-1", hyperparameters)


@pytest.mark.parametrize("values", [{}, {"TrainingSpot": "true", "TrainingVolumeKey": ""}])
@pytest.mark.parametrize("hyperparameters", [{}, {"epochs": "3", "hidden": "64,32"}])
def test_given_a_deployed_machine_then_the_request_is_the_one_that_it_makes(
    values: dict[str, str], hyperparameters: dict[str, str]
) -> None:
    given = {"hyperparameters": hyperparameters} if hyperparameters else {}
    made = Services().run(given, **values).arguments("Train")
    made.pop("TrainingJobName")
    definition = json.dumps(filled("train", VALUES | values))
    assert pipeline_request(definition, "run-1", hyperparameters) == made


def test_given_another_folder_then_all_that_is_written_goes_there_and_nothing_else_changes() -> None:
    before = request()
    after = moved(before, FOLDER)
    assert after["OutputDataConfig"].pop("S3OutputPath") == f"{FOLDER}/training"
    assert after["CheckpointConfig"].pop("S3Uri") == f"{FOLDER}/checkpoints"
    before["OutputDataConfig"].pop("S3OutputPath")
    before["CheckpointConfig"].pop("S3Uri")
    assert after == before


def test_given_a_trial_then_the_image_starts_the_same_command_from_a_channel() -> None:
    job = request(epochs="3")
    trial = started_by_script(job, FOLDER)
    assert "ContainerEntrypoint" not in trial["AlgorithmSpecification"]
    channel = trial["InputDataConfig"][-1]
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == f"{FOLDER}/starter/"
    told = trial["HyperParameters"]
    assert told["sagemaker_submit_directory"] == f"/opt/ml/input/data/{channel['ChannelName']}"
    assert told["epochs"] == "3"
    command = job["AlgorithmSpecification"]["ContainerEntrypoint"][2]
    assert starter(job) == f"#!/usr/bin/env bash\n{command}\n"


@pytest.mark.parametrize("definition", ["", "{}", '{"States": {"Train": {}}}', '{"States": []}'])
def test_given_a_machine_that_does_not_train_then_the_error_says_what_to_do(definition: str) -> None:
    with pytest.raises(RequestError, match="deploy the pipeline again"):
        pipeline_request(definition, "run-1", {})


def test_given_an_expression_that_cannot_be_evaluated_then_the_error_names_it() -> None:
    machine = {"States": {"Train": {"Arguments": {"RoleArn": "{% $unheard_of() %}"}}}}
    with pytest.raises(RequestError, match=r"\$unheard_of"):
        pipeline_request(json.dumps(machine), "run-1", {})


def test_given_an_entrypoint_that_is_no_command_for_bash_then_no_starter_is_guessed() -> None:
    job = request()
    job["AlgorithmSpecification"]["ContainerEntrypoint"] = ["python3", "train.py"]
    with pytest.raises(RequestError, match="of one version"):
        starter(job)
