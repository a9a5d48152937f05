"""`millrace experiment`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli import experiments, sdk
from cli.commands.train import hyperparameters
from cli.console import Voice, duration, result
from cli.errors import CliError
from cli.session import session

STOP = "stop_training_job"
"""SageMaker's operation that ends an experiment."""
FAILED = "the lines above are its log; correct what it names and try again"


def experiment(
    *,
    env: str | None = None,
    workload: str | None = None,
    set_: list[str] | None = None,
    run: str | None = None,
) -> None:
    """Train once with other hyperparameters, as the pipeline would, and show the log and the metrics.

    Nothing is packaged, registered or released. Ctrl-C stops the job. Needs `make setup-tuning`.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param set: a hyperparameter, such as epochs=3; may be given several times
    :param run: the run whose examples are used; the published one, if not given
    """
    here, voice = session(env, workload), Voice()
    given = hyperparameters(here.contract.model.training, set_ or [])
    sdk.python()
    found = experiments.place(here, run)
    name = experiments.stamped(f"experiment-{here.env}-{here.workload}", experiments.LONGEST_JOB)
    plan = experiments.plan(here, found, name, given)
    voice.say(f"experiment {name} on the examples of run {found.run} ({here.env}, {here.workload})")
    experiments.begin(here, voice, plan, STOP, TrainingJobName=name)
    try:
        told = experiments.follow(here, voice, name)
    except KeyboardInterrupt:
        voice.say(f"stopping {name}")
        experiments.stop(here, STOP, TrainingJobName=name)
        raise
    show(voice, told, name)


def show(voice: Voice, told: Mapping[str, Any], name: str) -> None:
    """Print the metrics of the model that was kept, and where it lies.

    Raises `CliError` where the job failed or was stopped.
    """
    if told["TrainingJobStatus"] != "Completed":
        problem = told.get("FailureReason") or f"it was {told['TrainingJobStatus'].lower()}"
        raise CliError(problem, f"training job {name}", FAILED)
    voice.say(
        f"trained in {duration(told.get('TrainingTimeInSeconds', 0))}; nothing was registered or released"
    )
    for metric in told.get("FinalMetricDataList", ()):
        if metric["MetricName"].startswith("validate"):
            result(f"{metric['MetricName']} {metric['Value']:.6g}")
    result(f"artefact {told['ModelArtifacts']['S3ModelArtifacts']}")
