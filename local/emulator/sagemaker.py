"""SageMaker: jobs that run, endpoints that answer, the registry, and moto for the rest."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.services import cloudwatch

from local.emulator import endpoints, gateway, invocations, registry
from local.emulator.moto_proxy import Operation, ServiceError, add_service
from local.emulator.tuning import Searches
from local.executors import processing, training
from local.executors.job import Job, Record, perform
from local.hooks import expect


@dataclass
class Jobs:
    """The jobs of one kind ("TrainingJob" or "ProcessingJob") and the operations on them."""

    kind: str
    slug: str
    """How the kind is written in an ARN."""
    group: str
    execute: Callable[[Job], None]
    summary: tuple[str, ...]
    records: dict[str, Record] = field(default_factory=dict)
    running: dict[str, Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def operations(self) -> dict[str, Operation]:
        """Create, describe, list and stop."""
        return {
            f"Create{self.kind}": self.create,
            f"Describe{self.kind}": self.find,
            f"List{self.kind}s": self.list,
            f"Stop{self.kind}": self.stop,
        }

    @property
    def name(self) -> str:
        """The member that names a job."""
        return f"{self.kind}Name"

    @property
    def status(self) -> str:
        """The member that says how far a job is."""
        return f"{self.kind}Status"

    def create(self, data: Record) -> Record:
        """Record a job and start it."""
        return self.start(data, 1)

    def start(self, data: Record, sharing: int) -> Record:
        """Record a job, one of ``sharing`` at a time, and start it on a thread."""
        name = data[self.name]
        with self._lock:
            if name in self.records:
                raise ServiceError(
                    "ResourceInUse", f"{self.kind} {name} already exists; names are not reused"
                )
            record = self.records[name] = self._record(data)
        job = self.running[name] = Job(
            name=name,
            request=data,
            record=record,
            folder=gateway.root() / "jobs" / f"{self.slug}-{name}",
            group=self.group,
            sharing=sharing,
        )
        if self.kind == "TrainingJob":
            job.on_line = training.metrics(record, _reporter(name))
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._perform, job), daemon=True).start()
        return {f"{self.kind}Arn": record[f"{self.kind}Arn"]}

    def _record(self, data: Record) -> Record:
        arn = f"arn:aws:sagemaker:{gateway.REGION}:{gateway.ACCOUNT}:{self.slug}/{data[self.name].lower()}"
        kept = {key: value for key, value in data.items() if key != "Tags"}
        return {
            **kept,
            f"{self.kind}Arn": arn,
            self.status: "InProgress",
            "SecondaryStatus": "Starting",
            "CreationTime": time.time(),
            "LastModifiedTime": time.time(),
        }

    def _perform(self, job: Job) -> None:
        perform(job, self.status, self.execute)
        self.running.pop(job.name, None)

    def find(self, data: Record) -> Record:
        """Describe a job."""
        name = data[self.name]
        if name not in self.records:
            raise ServiceError("ValidationException", f"Requested resource not found: {self.kind} {name}")
        return dict(self.records[name])

    def list(self, data: Record) -> Record:
        """List jobs, newest first, optionally those whose name contains a text or of one status."""
        found = [
            {key: record[key] for key in (*self.summary, self.name, self.status) if key in record}
            for record in sorted(self.records.values(), key=lambda one: one["CreationTime"], reverse=True)
            if data.get("NameContains", "") in record[self.name]
            and data.get("StatusEquals", record[self.status]) == record[self.status]
        ]
        return {f"{self.kind}Summaries": found[: data.get("MaxResults", 100)]}

    def stop(self, data: Record) -> Record:
        """Stop a job that runs."""
        record = self.find(data)
        job = self.running.get(data[self.name])
        if job is None:
            raise ServiceError("ValidationException", f"The job is already {record[self.status]}.")
        self.records[job.name][self.status] = "Stopping"
        job.stop.set()
        return {}

    def restore(self, saved: dict[str, Record]) -> None:
        """Take over saved records; a job that ran when they were saved has failed."""
        for job in self.running.values():
            job.stop.set()
        self.records.clear()
        for name, record in saved.items():
            if record[self.status] in {"InProgress", "Stopping"}:
                reason = "InternalServerError: the local environment was stopped while the job ran"
                record.update({self.status: "Failed", "SecondaryStatus": "Failed", "FailureReason": reason})
            self.records[name] = record


_SUMMARY = ("CreationTime", "LastModifiedTime", "FailureReason")
TRAINING = Jobs(
    "TrainingJob",
    "training-job",
    training.GROUP,
    training.execute,
    (*_SUMMARY, "TrainingJobArn", "TrainingEndTime", "SecondaryStatus"),
)
PROCESSING = Jobs(
    "ProcessingJob",
    "processing-job",
    processing.GROUP,
    processing.execute,
    (*_SUMMARY, "ProcessingJobArn", "ProcessingEndTime", "ExitMessage"),
)
TUNING = Searches(TRAINING.start, TRAINING.find, TRAINING.stop)


def install() -> None:
    """Serve SageMaker."""
    own = {
        **registry.operations(),
        **TRAINING.operations(),
        **PROCESSING.operations(),
        **TUNING.operations(),
        **endpoints.operations(),
    }
    # The runtime signs as SageMaker does, and names its operations by path.
    add_service("sagemaker", "SageMaker.", own, _save, _load, by_path=invocations.answer)


def _save() -> dict[str, Any]:
    return {
        **registry.state(),
        "training": TRAINING.records,
        "processing": PROCESSING.records,
        "tuning": TUNING.state(),
        "endpoints": endpoints.state(),
    }


def _load(saved: dict[str, Any]) -> None:
    registry.restore(saved)
    TRAINING.restore(saved.get("training", {}))
    PROCESSING.restore(saved.get("processing", {}))
    TUNING.restore(saved.get("tuning", {}))
    endpoints.restore(saved.get("endpoints", {}))


def _reporter(name: str) -> Callable[[str, float], None]:
    record = expect(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"))

    def report(metric: str, value: float) -> None:
        record("/aws/sagemaker/TrainingJobs", metric, value, "None", {"TrainingJobName": name})

    return report
