"""`millrace train`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli import runs
from cli.console import Voice
from cli.errors import CliError
from cli.models import described, metrics_text
from cli.outputs import outputs
from cli.releases import approval_release, follow_release
from cli.session import session
from contract.hyperparameters import HyperparameterError, override

if TYPE_CHECKING:
    from cli.session import Session
    from contract.schema import Training


def train(
    *,
    env: str | None = None,
    workload: str | None = None,
    set_: list[str] | None = None,
    attach: str | None = None,
    resume: str | None = None,
    follow: bool = True,
) -> None:
    """Run the pipeline: preprocess, train, package, gate, register; and follow it to its end.

    Ctrl-C leaves the run going. Where models are approved automatically, the release is followed too.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param set: a hyperparameter for this run, such as epochs=3; may be given several times
    :param attach: follow this run, which is going on already
    :param resume: let this failed run go on from the state that failed
    :param follow: start the run and leave it
    """
    only_one(attach, resume, set_)
    here, voice = session(env, workload), Voice()
    changed = hyperparameters(here.contract.model.training, set_ or [])
    names = outputs(here, ("train_machine", "release_machine", "lake_bucket"))
    if attach is not None:
        arn = runs.execution_arn(names["train_machine"], attach)
    elif resume is not None:
        arn = resumed(here, voice, names["train_machine"], resume)
    else:
        arn = started(here, voice, names, changed)
    if not follow:
        voice.say(f"it goes on by itself; follow it with millrace train --attach {run_of(arn)}{here.flags}")
        return
    try:
        watch(here, voice, arn, names["release_machine"])
    except KeyboardInterrupt:
        voice.say(f"left. The run {run_of(arn)} goes on; follow it again with:")
        voice.write(f"  millrace train --attach {run_of(arn)}{here.flags}")
        voice.write(f"  millrace status --run {run_of(arn)}{here.flags}")


def only_one(attach: str | None, resume: str | None, set_: list[str] | None) -> None:
    """Raise `CliError` where a run is to be followed, resumed and changed at once, or has no name."""
    asked = {"--attach": attach, "--resume": resume}
    given = [flag for flag, run in asked.items() if run is not None] + (["--set"] if set_ else [])
    if len(given) > 1:
        remedy = "choose one: a run that exists keeps its hyperparameters"
        raise CliError("these exclude each other", " ".join(given), remedy)
    for flag, run in asked.items():
        if run is not None and not run.strip():
            raise CliError("no run is named", flag, "name one: `millrace status` lists the last runs")


def resumed(here: Session, voice: Voice, machine: str, run: str) -> str:
    """Let a failed run go on; give the ARN of the execution to follow."""
    arn = runs.resume(here, machine, run)
    voice.say(f"run {run} goes on from the state that failed, as {run_of(arn)}")
    return arn


def started(here: Session, voice: Voice, names: dict[str, str], changed: dict[str, str]) -> str:
    """Start a new run, its raw tables being there; give the execution's ARN."""
    check_raw_tables(here, names["lake_bucket"])
    arn = here.client("stepfunctions").start_execution(
        stateMachineArn=names["train_machine"],
        name=runs.new_run(),
        input=json.dumps({"hyperparameters": changed} if changed else {}),
    )["executionArn"]
    voice.say(f"run {run_of(arn)} started ({here.env}, {here.workload})")
    return str(arn)


def hyperparameters(training: Training, pairs: list[str]) -> dict[str, str]:
    """Read ``name=value`` pairs, which a run puts over ``training``.

    Raises `CliError` for what is none, and for what the training job would refuse minutes later.
    """
    for pair in pairs:
        if "=" not in pair.strip("="):
            raise CliError(f"{pair!r} is not a hyperparameter", "--set", "write name=value, such as epochs=3")
    given = {name.strip(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)}
    try:
        override(training, given)
    except HyperparameterError as error:
        raise CliError(error.problem, "--set", error.remedy) from error
    return given


def check_raw_tables(here: Session, bucket: str) -> None:
    """Raise `CliError` where a raw table was never uploaded: the run could only fail, minutes later."""
    s3 = here.client("s3")
    for table in here.contract.tables:
        prefix = f"{here.workload}/raw/{table}/"
        if not s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount"):
            place = f"s3://{bucket}/{prefix}"
            raise CliError(f"there is no raw table {table}", place, f"upload it: millrace ingest{here.flags}")


def run_of(arn: str) -> str:
    """Give the run that an execution's ARN names."""
    return arn.rpartition(":")[2]


def watch(here: Session, voice: Voice, arn: str, release_machine: str) -> None:
    """Follow a run to its end, then its release where its model was approved at once."""
    ended = runs.follow(here, voice, arn, f"run {run_of(arn)}")
    runs.succeeded(ended, "Train")
    package = described(here, ended.output["package"])
    voice.say(f"model {package.number} registered: run {package.run}, {metrics_text(package.metrics)}")
    if not ended.output["approved"]:
        voice.say(f"it waits for approval: millrace release --package {package.number}{here.flags}")
        return
    follow_release(here, voice, approval_release(here, voice, release_machine, package, set()))
