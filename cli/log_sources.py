"""Where the parts of a workload write their logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.session import Session

GLUE_RUNS = 5
"""Of this many of a Glue job's last runs the streams are read in groups that jobs share."""


@dataclass(frozen=True)
class Source:
    """A log group, and how those of its streams begin that belong to this environment and workload."""

    group: str
    prefix: str = ""


def preprocess(session: Session) -> list[Source]:
    """Glue writes what a job says and Spark's own log into two groups; on the laptop into shared ones."""
    own = session.settings.logs(session.workload, "preprocess")
    found = [Source(f"{own}/{kind}") for kind in ("output", "error")]
    if session.local:
        job = session.settings.name(session.workload, "preprocess")
        runs = session.client("glue").get_job_runs(JobName=job, MaxResults=GLUE_RUNS)["JobRuns"]
        found += [Source(f"/aws-glue/jobs/{kind}", run["Id"]) for run in runs for kind in ("output", "error")]
    return found


def train(session: Session) -> list[Source]:
    """SageMaker has one group for all training jobs of an account; the job's name begins the stream's."""
    return [Source("/aws/sagemaker/TrainingJobs", job_prefix(session))]


def package(session: Session) -> list[Source]:
    """SageMaker has one group for all processing jobs of an account."""
    return [Source("/aws/sagemaker/ProcessingJobs", job_prefix(session))]


def release(session: Session) -> list[Source]:
    """Read the state machines' logs, and that of the function that checks a release through the API."""
    machines = ["release", *(["endpoint"] if session.settings.has_endpoint else [])]
    names = [session.settings.name(session.workload, machine) for machine in machines]
    return [
        *(Source(f"/aws/vendedlogs/states/{name}") for name in names),
        Source(session.settings.logs(session.workload, "probe")),
    ]


def predict(session: Session) -> list[Source]:
    """Read the function's log."""
    return [Source(session.settings.logs(session.workload, "predict"))]


def endpoint(session: Session) -> list[Source]:
    """Read what the endpoint's containers say, and the function that passes requests on to them."""
    if not session.settings.has_endpoint:
        return []
    return [
        Source(f"/aws/sagemaker/Endpoints/{session.settings.name(session.workload)}"),
        Source(session.settings.logs(session.workload, "forward")),
    ]


def job_prefix(session: Session) -> str:
    """Give how the names of this environment's and workload's SageMaker jobs begin."""
    return f"{session.settings.name(session.workload)}-"


PARTS: dict[str, Callable[[Session], list[Source]]] = {
    "preprocess": preprocess,
    "train": train,
    "package": package,
    "release": release,
    "predict": predict,
    "endpoint": endpoint,
}


def sources(session: Session, part: str) -> list[Source]:
    """Give where ``part`` writes; nothing for what writes no logs."""
    return PARTS[part](session) if part in PARTS else []
