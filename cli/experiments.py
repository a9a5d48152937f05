"""What experiments and searches have in common: a name, a plan for the SDK, and a job that is followed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cli import sdk
from cli.errors import CliError
from cli.job_lines import identity, read
from cli.log_sources import Source
from cli.outputs import outputs
from cli.runs import letters

if TYPE_CHECKING:
    from cli.console import Voice
    from cli.session import Session

GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
LONGEST_JOB, LONGEST_SEARCH = 63, 32
"""Letters that SageMaker allows the name of a training job, and of a tuning job."""


def stamped(base: str, longest: int, now: datetime | None = None) -> str:
    """Make a name that begins with ``base``: ``flights-261124-0532-k7wq`` (UTC), at most ``longest``."""
    ending = f"-{(now or datetime.now(UTC)).strftime('%y%m%d-%H%M')}-{letters()}"
    return base[: longest - len(ending)].rstrip("-") + ending


@dataclass(frozen=True)
class Place:
    """Where training happens: the run whose examples are used, and the machine that says how."""

    run: str
    definition: str
    bucket: str


def place(here: Session, run: str | None) -> Place:
    """Find the examples to train on (the published run's, unless ``run`` names another) and how to train.

    Raises `CliError` where nothing is deployed, no run was published, or ``run`` has no examples.
    """
    names = outputs(here, ("train_machine", "lake_bucket", "models_bucket"))
    machine = here.client("stepfunctions").describe_state_machine(stateMachineArn=names["train_machine"])
    chosen = run or published(here, names["lake_bucket"])
    check_examples(here, names["lake_bucket"], chosen)
    return Place(chosen, machine["definition"], names["models_bucket"])


def published(here: Session, bucket: str) -> str:
    """Give the run that readers should read. Raises `CliError` where there is none yet."""
    s3, key = here.client("s3"), f"{here.workload}/published.json"
    try:
        return str(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["run"])
    except s3.exceptions.NoSuchKey as error:
        remedy = f"make examples first: millrace ingest{here.flags}, then millrace train{here.flags}"
        raise CliError("no run has been published yet", f"s3://{bucket}/{key}", remedy) from error


def check_examples(here: Session, bucket: str, run: str) -> None:
    """Raise `CliError` where ``run`` left no examples: the job could only fail, minutes later."""
    prefix = f"{here.workload}/runs/{run}/examples/"
    if not here.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount"):
        remedy = f"choose another with --run; millrace status{here.flags} lists the last runs"
        raise CliError(f"run {run} left no examples", f"s3://{bucket}/{prefix}", remedy)


def plan(here: Session, found: Place, name: str, hyperparameters: Mapping[str, str]) -> dict[str, Any]:
    """Give what the SDK needs to know for a job called ``name``; `tuning/plan.py` reads it."""
    return {
        "name": name,
        "definition": found.definition,
        "run": found.run,
        "bucket": found.bucket,
        "prefix": f"{here.workload}/experiments/{name}",
        "region": here.aws.region_name,
        "hyperparameters": dict(hyperparameters),
        "tags": here.settings.tags(here.workload),
    }


class Log:
    """Reads a training job's log as it grows."""

    def __init__(self, here: Session, job: str) -> None:
        self.here, self.source = here, Source(GROUP, f"{job}/")
        self.since = int(time.time() * 1000) - 60_000
        self.seen: set[str] = set()

    def fresh(self) -> list[str]:
        """Give the lines that came since the last call."""
        events = [
            each for each in read(self.here, self.source, self.since) if identity(each) not in self.seen
        ]
        self.seen |= {identity(each) for each in events}
        return [str(each["message"]).rstrip() for each in events]


def follow(here: Session, voice: Voice, job: str) -> Mapping[str, Any]:
    """Say a training job's log, line by line, until it ends; give what SageMaker tells of it then."""
    client, log = here.client("sagemaker"), Log(here, job)
    with voice.busy(job) as activity:
        while True:
            told: Mapping[str, Any] = client.describe_training_job(TrainingJobName=job)
            for line in log.fresh():
                voice.say(line)
            if told["TrainingJobStatus"] in ENDED:
                return told
            activity.text = f"{job}: {told.get('SecondaryStatus', told['TrainingJobStatus'])}"
            pause(here)


def pause(here: Session) -> None:
    """Wait before the next look."""
    time.sleep(1 if here.local else 5)


def begin(here: Session, voice: Voice, wanted: Mapping[str, Any], operation: str, **name: str) -> None:
    """Let the SDK start what is ``wanted``; where that is interrupted or fails halfway, nothing goes on.

    ``operation`` of SageMaker stops what ``name`` names. Raises `CliError` as `sdk.start` does.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - loaded already

    try:
        sdk.start(here, voice, wanted)
    except KeyboardInterrupt:
        voice.say(f"stopping {wanted['name']}")
        stop(here, operation, **name)
        raise
    except CliError:
        with suppress(BotoCoreError, ClientError):  # why it failed is what counts
            stop(here, operation, **name)
        raise


def stop(here: Session, operation: str, **name: str) -> None:
    """Call ``operation`` of SageMaker, which stops a job; one that has ended or never began is left alone."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - loaded already where this is reached

    try:
        getattr(here.client("sagemaker"), operation)(**name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ResourceNotFound", "ValidationException"):
            raise
