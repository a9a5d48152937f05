"""The pipeline's own request for a training job, read from the deployed state machine.

`infra/machines/train.asl.yaml` is its one home: what is deployed is evaluated here as Step Functions would.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from jsonata.jexception import JException  # type: ignore[import-untyped]
from jsonata.jsonata import Jsonata  # type: ignore[import-untyped]

Request = dict[str, Any]

STATE = "Train"
"""The state whose task is the training job."""
EXPRESSION = re.compile(r"\{%(.*)%\}", re.DOTALL)
STARTER = "start.sh"
STARTER_CHANNEL = "starter"
BASE = "/opt/ml/input/data"


class RequestError(ValueError):
    """The deployed state machine does not say how to train: what is wrong, and what to do about it."""


def pipeline_request(definition: str, run: str, hyperparameters: Mapping[str, str]) -> Request:
    """Give the CreateTrainingJob request that the state machine makes for ``run``, without the job's name.

    ``definition`` is the machine's in Amazon States Language (JSON); ``hyperparameters`` override the
    contract's. Raises RequestError.
    """
    try:
        arguments = json.loads(definition)["States"][STATE]["Arguments"]
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"the deployed state machine has no readable task {STATE} ({error!r}); deploy the pipeline again"
        ) from error
    # The name is the state machine's own affair: it is made of the execution, which there is none of.
    wanted = {name: value for name, value in arguments.items() if name != "TrainingJobName"}
    request: Request = evaluated(wanted, {"run": run, "hyperparameters": dict(hyperparameters)})
    return request


def evaluated(value: Any, variables: Mapping[str, Any]) -> Any:
    """Give ``value`` with every JSONata expression in it replaced by what it yields.

    Raises RequestError for an expression that cannot be evaluated.
    """
    if isinstance(value, dict):
        return {key: evaluated(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [evaluated(item, variables) for item in value]
    found = EXPRESSION.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else whole(calculated(found[1].strip(), variables))


def calculated(expression: str, variables: Mapping[str, Any]) -> Any:
    """Evaluate one JSONata expression."""
    try:
        parsed = Jsonata.jsonata(expression)
        frame = parsed.create_frame()
        for name, value in variables.items():
            frame.bind(name, value)
        return parsed.evaluate(None, frame)
    except JException as error:
        raise RequestError(
            f"the expression {expression!r} of the deployed task {STATE} cannot be evaluated here: {error}; "
            "deploy the pipeline's stack of the same version as this command"
        ) from error


def whole(value: Any) -> Any:
    """Write whole numbers as integers: JSONata has one kind of number, the services two."""
    if isinstance(value, dict):
        return {str(key): whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def moved(request: Request, folder: str) -> Request:
    """Give the request with everything that it writes under ``folder`` (``s3://bucket/prefix``).

    The artefact never lies where the pipeline looks for one, so it is never packaged by mistake.
    """
    elsewhere = copy.deepcopy(request)
    elsewhere["OutputDataConfig"]["S3OutputPath"] = f"{folder}/training"
    if "CheckpointConfig" in elsewhere:
        elsewhere["CheckpointConfig"]["S3Uri"] = f"{folder}/checkpoints"
    return elsewhere


def starter(request: Request) -> str:
    """Give the script that starts training the way the request's entrypoint does.

    A tuning job takes no entrypoint (HyperParameterAlgorithmSpecification has no member for it): its trials
    start by the image's own ``train`` program, which runs a script that it is told.
    """
    entrypoint = request["AlgorithmSpecification"].get("ContainerEntrypoint") or []
    if len(entrypoint) != 3 or entrypoint[:2] != ["bash", "-c"]:
        raise RequestError(
            f"the deployed training job starts by {entrypoint!r}, expected a command for bash -c: "
            "use the command line and the stacks of one version"
        )
    return f"#!/usr/bin/env bash\n{entrypoint[2]}\n"


def started_by_script(request: Request, folder: str) -> Request:
    """Give the request for a trial: without the entrypoint, with a channel that holds the starter.

    The hyperparameters are those of the image's training toolkit. The script comes in a channel because an
    isolated container cannot download it. Source: aws/sagemaker-training-toolkit, download_and_extract.
    """
    trial = copy.deepcopy(request)
    trial["AlgorithmSpecification"].pop("ContainerEntrypoint")
    trial["HyperParameters"] |= {
        "sagemaker_program": STARTER,
        "sagemaker_submit_directory": f"{BASE}/{STARTER_CHANNEL}",
    }
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"{folder}/{STARTER_CHANNEL}/",
        "S3DataDistributionType": "FullyReplicated",
    }
    trial["InputDataConfig"].append({"ChannelName": STARTER_CHANNEL, "DataSource": {"S3DataSource": source}})
    return trial
