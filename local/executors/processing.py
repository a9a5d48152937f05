"""Run a SageMaker processing job on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

from local.executors import storage
from local.executors.container import Host, hosts, resources
from local.executors.job import Job, JobError, Record

GROUP = "/aws/sagemaker/ProcessingJobs"


def execute(job: Job) -> None:
    """Take a processing job from its request to its end. ``job.record`` tells how that was."""
    request = job.request
    cluster = request["ProcessingResources"]["ClusterConfig"]
    isolated = bool(request.get("NetworkConfig", {}).get("EnableNetworkIsolation"))
    made = hosts(job.folder, int(cluster["InstanceCount"]), request.get("Environment", {}), isolated)
    job.record["ProcessingStartTime"] = time.time()
    _inputs(request.get("ProcessingInputs", []), made)
    outputs = _outputs(request.get("ProcessingOutputConfig", {}), made)
    for host in made:
        host.config("processingjobconfig.json", request, "config")
        host.config("resourceconfig.json", resources(host, made, cluster["InstanceType"]), "config")
    verdict = job.run(made, _command(request), lambda: _continuous(outputs))
    _finish(job, made, outputs, verdict)


def _command(request: Record) -> list[str]:
    specification = request["AppSpecification"]
    if not specification.get("ContainerEntrypoint"):
        raise ValueError(
            "ClientError: the local environment has no container image, so AppSpecification must give "
            "a ContainerEntrypoint"
        )
    return [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])]


def _inputs(inputs: Sequence[Record], made: Sequence[Host]) -> None:
    for item in inputs:
        source = item["S3Input"]
        sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
        for index, host in enumerate(made):
            share = (index, len(made)) if sharded else (0, 1)
            storage.download(source["S3Uri"], host.path(source["LocalPath"]), share)


def _outputs(config: Record, made: Sequence[Host]) -> list[tuple[Record, storage.Mirror]]:
    mirrors = []
    for item in config.get("Outputs", []):
        target = item["S3Output"]
        for host in made:
            folder = host.path(target["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            mirrors.append((target, storage.Mirror(folder, target["S3Uri"])))
    return mirrors


def _continuous(outputs: Sequence[tuple[Record, storage.Mirror]]) -> None:
    for target, mirror in outputs:
        if target.get("S3UploadMode") == "Continuous":
            mirror.push()


def _finish(
    job: Job, made: Sequence[Host], outputs: Sequence[tuple[Record, storage.Mirror]], verdict: str
) -> None:
    job.record["ProcessingEndTime"] = time.time()
    if verdict == "timeout":
        raise JobError(f"ClientError: the job exceeded MaxRuntimeInSeconds ({job.limit_seconds:g})")
    if verdict == "stopped":
        job.record["ProcessingJobStatus"] = "Stopped"
        return
    for _, mirror in outputs:
        mirror.push()
    message = made[0].root / "output" / "message"
    if message.exists():
        job.record["ExitMessage"] = message.read_text(errors="replace")[:1024]
    job.record["ProcessingJobStatus"] = "Completed"
