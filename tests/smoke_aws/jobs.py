"""Assumptions about Glue, the Data Catalog with Athena, and SageMaker's jobs."""

from __future__ import annotations

import re
import time
from typing import Any

from cli.console import stamp
from cli.log_sources import job_prefix
from tests.smoke_aws.environment import Environment
from tests.smoke_aws.findings import Finding, Refuted, Settled, Unknown, assumption
from tests.smoke_aws.machines import proof

IMPORT = "ImportError|ModuleNotFoundError|No module named|has no attribute|UnknownService"
HOSTS = "rendezvous|timed out|Connection|29500|gloo|nccl|socket"
QUERY_SECONDS = 120
QUERY = 'SELECT split, count(*) FROM "{table}" GROUP BY split'


@assumption("C1")
def glue_runs_the_job(environment: Environment) -> Finding:
    """A run passed its preprocessing."""
    return proof(environment.trains, ("Preprocess",), IMPORT)


@assumption("C2")
def pointer_names_the_run(environment: Environment) -> Finding:
    """The pointer holds the newest run that passed its preprocessing."""
    newest = next((each.run for each in environment.trains if each.passed("Preprocess")), "")
    if not newest:
        return Unknown("no run has passed its preprocessing yet: millrace train")
    published = pointer(environment)
    champion = environment.champion.get("version")
    told = f"published.json names {published['run']}, the newest run is {newest}, the champion's {champion}"
    return Settled(told) if published["run"] == newest else Refuted(told)


def pointer(environment: Environment) -> dict[str, Any]:
    """Read which run readers of the lake are sent to."""
    key = f"{environment.session.workload}/published.json"
    return environment.document(environment.names["lake_bucket"], key)


@assumption("C3", only_aws="its Athena answers no queries from the catalogue")
def athena_counts_the_splits(environment: Environment) -> Finding:
    """Athena counts as many examples in each split as the run's profile says."""
    key = f"{pointer(environment)['prefix'].split('/', 3)[3]}/reports/profile.json"
    profile = environment.document(environment.names["lake_bucket"], key)
    expected = {split: told["rows"] for split, told in profile["splits"].items() if told["rows"]}
    query, state, reason = ended_query(environment)
    if state != "SUCCEEDED":
        told = f"the query {query} is {state}: {reason}"
        denied = state != "FAILED" or re.search("denied|not authorized", reason, re.IGNORECASE)
        return Unknown(told) if denied else Refuted(told)
    counted = counts(environment, query)
    told = f"the query {query} counted {counted}, the profile says {expected}"
    return Settled(told) if counted == expected else Refuted(told)


def ended_query(environment: Environment) -> tuple[str, str, str]:
    """Ask Athena for the splits and wait for the end: the query's id, its state and the reason for it."""
    session, client = environment.session, environment.session.client("athena")
    table = f"{session.workload}_examples".lower().replace("-", "_")
    place = f"s3://{environment.names['lake_bucket']}/{session.workload}/athena/"
    query = client.start_query_execution(
        QueryString=QUERY.format(table=table),
        QueryExecutionContext={"Database": session.settings.database(session.workload)},
        ResultConfiguration={"OutputLocation": place},
        WorkGroup="primary",
    )["QueryExecutionId"]
    limit = time.monotonic() + QUERY_SECONDS
    while True:
        status = client.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING") or time.monotonic() > limit:
            return query, status["State"], status.get("StateChangeReason", "no reason is given")
        time.sleep(1)


def counts(environment: Environment, query: str) -> dict[str, int]:
    """Read a query's result: split → rows. Athena's first row is the heading."""
    told = environment.session.client("athena").get_query_results(QueryExecutionId=query)
    rows = [[cell.get("VarCharValue", "") for cell in row["Data"]] for row in told["ResultSet"]["Rows"]]
    return {split: int(count) for split, count in rows[1:]}


def training_jobs(environment: Environment, status: str) -> list[dict[str, Any]]:
    """Describe the workload's last training jobs of this status, newest first."""
    client, prefix = environment.session.client("sagemaker"), job_prefix(environment.session)
    listed = client.list_training_jobs(
        NameContains=prefix, StatusEquals=status, SortBy="CreationTime", SortOrder="Descending", MaxResults=10
    )["TrainingJobSummaries"]
    names = [each["TrainingJobName"] for each in listed if each["TrainingJobName"].startswith(prefix)]
    return [client.describe_training_job(TrainingJobName=name) for name in names]


@assumption("C4", only_aws="its jobs run in this repository's environment, not in the image")
def image_carries_the_packages(environment: Environment) -> Finding:
    """A run trained and packaged in the image, and its training job was cut off from the network."""
    found = proof(environment.trains, ("Train", "Package"), IMPORT)
    done = training_jobs(environment, "Completed") if isinstance(found, Settled) else []
    if not done:
        return found
    told = f"{found.evidence}; {described(done[0])}"
    return Settled(told) if done[0].get("EnableNetworkIsolation") else Refuted(told)


def described(job: dict[str, Any]) -> str:
    """Give a training job in a few words."""
    image = job["AlgorithmSpecification"]["TrainingImage"].rpartition("/")[2]
    isolated = "isolated" if job.get("EnableNetworkIsolation") else "not isolated"
    machine = job["ResourceConfig"]["InstanceType"]
    return f"{job['TrainingJobName']}: {hosts(job)} × {machine}, {image}, {isolated}"


def hosts(job: dict[str, Any]) -> int:
    """Give the number of a training job's hosts."""
    return int(job["ResourceConfig"]["InstanceCount"])


@assumption("C5", only_aws="its hosts are processes of one machine, and nothing is encrypted between them")
def hosts_reach_each_other(environment: Environment) -> Finding:
    """A job of several hosts, encrypted between them, came to its end."""
    for job in training_jobs(environment, "Completed"):
        if hosts(job) > 1 and job.get("EnableInterContainerTrafficEncryption"):
            return Settled(f"{described(job)}, ended {stamp(job['TrainingEndTime'])}")
    for job in training_jobs(environment, "Failed"):
        if hosts(job) > 1 and re.search(HOSTS, job.get("FailureReason", ""), re.IGNORECASE):
            return Refuted(f"{described(job)}, failed: {job['FailureReason']}")
    return Unknown("no job with two hosts has ended yet: set training.instances = 2, deploy, millrace train")
