"""What SageMaker's training and processing jobs have in common: a request, a record, hosts that run."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.executors import storage
from local.executors.container import Host
from local.executors.journal import Journal, Streams
from local.executors.process import wait

log = logging.getLogger("millrace.sagemaker")

Record = dict[str, Any]


class JobError(Exception):
    """The job failed; the text is SageMaker's FailureReason."""


@dataclass(eq=False)
class Job:
    """A job on its way: ``record`` is what Describe answers, changed as the job proceeds."""

    name: str
    request: Record
    record: Record
    folder: Path
    group: str
    """CloudWatch log group."""
    on_line: Callable[[str], None] = lambda _: None
    sharing: int = 1
    """How many jobs this one shares the machine's processors with, itself included."""
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def limit_seconds(self) -> float:
        """How long the job may run."""
        return float(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400))

    def transition(self, status: str, message: str = "", **changes: Any) -> None:
        """Enter a secondary status, as DescribeTrainingJob lists them."""
        now = time.time()
        transitions = self.record.setdefault("SecondaryStatusTransitions", [])
        if transitions:
            transitions[-1].setdefault("EndTime", now)
        transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
        self.record.update(changes, SecondaryStatus=status, LastModifiedTime=now)

    def run(self, hosts: Sequence[Host], command: Sequence[str], tick: Callable[[], None]) -> str:
        """Run ``command`` on every host; return "ended", "timeout" or "stopped".

        Raises JobError, with the container's own words, if a host's command fails.
        """
        with ExitStack() as stack:
            said = [
                Streams(
                    stack.enter_context(Journal(self.group, f"{self.name}/{host.root.name}")), self.on_line
                )
                for host in hosts
            ]
            started = [
                host.start(command, streams.stdout, streams.stderr)
                for host, streams in zip(hosts, said, strict=True)
            ]
            ending = wait(started, seconds=self.limit_seconds, stopped=self.stop.is_set, tick=tick)
            codes = [process.close() for process in started]
        if ending.how == "failed":
            place = ending.culprit
            raise JobError(_reason(hosts[place], codes[place], said[place]))
        return ending.how


def _reason(host: Host, code: int, streams: Streams) -> str:
    """What the container wrote to ``/opt/ml/output/failure``, or else the end of its log."""
    failure = host.root / "output" / "failure"
    said = failure.read_text(errors="replace").strip() if failure.exists() else streams.root_cause()
    return f"AlgorithmError: {said[:1024]}, exit code: {code}"


def perform(job: Job, status: str, body: Callable[[Job], None]) -> None:
    """Run ``body`` to its end; whatever it raises becomes the job's failure, under the key ``status``."""
    try:
        body(job)
    except (JobError, storage.MissingDataError, ValueError, OSError) as error:
        _fail(job, status, str(error))
    except Exception as error:
        log.exception("job %s", job.name)
        _fail(job, status, f"InternalServerError: the local executor broke: {error!r}")
    finally:
        shutil.rmtree(job.folder, ignore_errors=True)


def _fail(job: Job, status: str, reason: str) -> None:
    job.transition("Failed", reason, FailureReason=reason)
    job.record[status] = "Failed"


@dataclass(frozen=True)
class Metric:
    """A metric definition: the first group of ``pattern`` in a log line is a value of ``name``."""

    name: str
    pattern: re.Pattern[str]

    def read(self, line: str) -> float | None:
        """The value that ``line`` reports, if it does."""
        match = self.pattern.search(line)
        try:
            return float(match[1]) if match else None
        except ValueError:
            return None
