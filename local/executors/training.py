"""Run a SageMaker training job on this machine: a process for each host, folders as in a container."""

from __future__ import annotations

import re
import shutil
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from local.executors import storage
from local.executors.container import BASE, Host, free_port, hosts, resources
from local.executors.job import Job, Metric, Record

GROUP = "/aws/sagemaker/TrainingJobs"
_SYNC_SECONDS = 2.0


def execute(job: Job) -> None:
    """Take a training job from its request to its end. ``job.record`` tells how far it is."""
    request = job.request
    count = int(request["ResourceConfig"].get("InstanceCount", 1))
    environment = {
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": job.record["TrainingJobArn"],
        "MASTER_PORT": str(free_port()),
        **request.get("Environment", {}),
    }
    isolated = bool(request.get("EnableNetworkIsolation"))
    made = hosts(job.folder, count, environment, isolated, job.sharing)
    job.transition("Downloading", "Downloading input data", TrainingStartTime=time.time())
    _channels(request.get("InputDataConfig", []), made, job.folder)
    _configure(request, made)
    mirrors = _checkpoints(request.get("CheckpointConfig"), made)
    job.transition("Training", "Training image download completed. Training in progress.")
    verdict = job.run(made, _command(request, made), _periodically(mirrors))
    for mirror in mirrors:
        mirror.push()
    _finish(job, made, verdict)


def _command(request: Record, made: Sequence[Host]) -> list[str]:
    algorithm, hyperparameters = request["AlgorithmSpecification"], request.get("HyperParameters", {})
    entrypoint = algorithm.get("ContainerEntrypoint")
    if entrypoint:
        return [*entrypoint, *algorithm.get("ContainerArguments", [])]
    if "sagemaker_program" not in hyperparameters:
        raise ValueError(
            "ClientError: the local environment has no container image, so AlgorithmSpecification must give "
            "a ContainerEntrypoint, or the hyperparameter sagemaker_program name a script"
        )
    return _toolkit(hyperparameters["sagemaker_program"], hyperparameters["sagemaker_submit_directory"], made)


def _toolkit(program: str, folder: str, made: Sequence[Host]) -> list[str]:
    """Stand in for ``train`` of SageMaker's images: copy ``folder`` to the code folder, run its script."""
    if not program.endswith(".sh"):
        raise ValueError(f"ClientError: {program}: the local environment starts shell scripts only")
    for host in made:
        shutil.copytree(host.path(folder), host.path(f"{BASE}/code"), dirs_exist_ok=True)
        script = host.path(f"{BASE}/code/{program}")
        script.write_text(host.rewrite(script.read_text()))
        script.chmod(0o755)
    return ["/bin/sh", "-c", f"cd {BASE}/code && exec ./{program}"]


def _channels(channels: Sequence[Record], made: Sequence[Host], folder: Path) -> None:
    for channel in channels:
        source = channel["DataSource"]["S3DataSource"]
        if source.get("S3DataDistributionType") == "ShardedByS3Key":
            for index, host in enumerate(made):
                place = host.root / "input" / "data" / channel["ChannelName"]
                storage.download(source["S3Uri"], place, (index, len(made)))
            continue
        shared = folder / "channels" / channel["ChannelName"]
        storage.download(source["S3Uri"], shared)
        for host in made:
            storage.link(shared, host.root / "input" / "data" / channel["ChannelName"])


def _configure(request: Record, made: Sequence[Host]) -> None:
    channels = {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", "File"),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in request.get("InputDataConfig", [])
    }
    for host in made:
        host.config("resourceconfig.json", resources(host, made, request["ResourceConfig"]["InstanceType"]))
        host.config("hyperparameters.json", request.get("HyperParameters", {}))
        host.config("inputdataconfig.json", channels)


def _checkpoints(config: Record | None, made: Sequence[Host]) -> list[storage.Mirror]:
    """Fetch the checkpoints of an earlier run to every host; return what carries new ones to S3."""
    mirrors = []
    for host in made if config else ():
        folder = host.path((config or {}).get("LocalPath", "/opt/ml/checkpoints"))
        folder.mkdir(parents=True, exist_ok=True)
        mirror = storage.Mirror(folder, (config or {})["S3Uri"], lambda path: path.suffix != ".tmp")
        if storage.keys(mirror.uri):
            storage.download(mirror.uri, folder)
        mirror.adopt()
        mirrors.append(mirror)
    return mirrors


def _periodically(mirrors: Sequence[storage.Mirror]) -> Callable[[], None]:
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        if time.monotonic() - last >= _SYNC_SECONDS:
            for mirror in mirrors:
                mirror.push()
            last = time.monotonic()

    return tick


def _finish(job: Job, made: Sequence[Host], verdict: str) -> None:
    job.transition("Uploading", "Uploading generated training model", TrainingEndTime=time.time())
    target = f"{job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output"
    job.record["ModelArtifacts"] = {"S3ModelArtifacts": f"{target}/model.tar.gz"}
    _upload_archive([host.root / "model" for host in made], job.folder / "model.tar.gz", target)
    outputs = [host.root / "output" / "data" for host in made]
    if any(any(folder.iterdir()) for folder in outputs):
        _upload_archive(outputs, job.folder / "output.tar.gz", target)
    status, secondary, message = {
        "ended": ("Completed", "Completed", "Training job completed"),
        "timeout": ("Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds"),
        "stopped": ("Stopped", "Stopped", "Training job stopped"),
    }[verdict]
    seconds = round(job.record["TrainingEndTime"] - job.record["TrainingStartTime"])
    job.transition(secondary, message, TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
    job.record["TrainingJobStatus"] = status


def _upload_archive(folders: Sequence[Path], archive: Path, target: str) -> None:
    """Pack the hosts' folders over one another, the first host's files last, so that they win."""
    merged = archive.with_suffix("").with_suffix(".merged")
    for folder in reversed(folders):
        shutil.copytree(folder, merged, dirs_exist_ok=True)
    with tarfile.open(archive, "w:gz") as pack:
        for item in sorted(merged.iterdir()):
            pack.add(item, item.name)
    storage.put(archive, f"{target}/{archive.name}")


def metrics(record: Record, report: Callable[[str, float], None]) -> Callable[[str], None]:
    """A function of a log line: it reports each metric in it and keeps the last values in ``record``.

    The metrics are the request's MetricDefinitions; ``report`` takes a name and a value.
    """
    found = record["AlgorithmSpecification"].get("MetricDefinitions", [])
    definitions = [Metric(item["Name"], re.compile(item["Regex"])) for item in found]
    last: dict[str, Record] = {}

    def read(line: str) -> None:
        for definition in definitions:
            value = definition.read(line)
            if value is not None:
                report(definition.name, value)
                last[definition.name] = {
                    "MetricName": definition.name,
                    "Value": value,
                    "Timestamp": time.time(),
                }
                record["FinalMetricDataList"] = list(last.values())

    return read
