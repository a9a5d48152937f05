"""SageMaker's hyperparameter tuning jobs: real trials, several at a time, drawn at random.

AWS searches by Bayesian optimisation. Here every strategy but Grid is a random search with the request's
seed: the same request tries the same hyperparameters again.
"""

from __future__ import annotations

import contextvars
import hashlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local.emulator import gateway
from local.emulator.moto_proxy import Operation, ServiceError
from local.executors.job import Record
from local.executors.search import trials

log = logging.getLogger("millrace.sagemaker")

KIND = "HyperParameterTuningJob"
SLUG = "hyper-parameter-tuning-job"
ENDED = frozenset({"Completed", "Failed", "Stopped"})
POLL_SECONDS = 0.2
STRATEGIES = frozenset({"Bayesian", "Random", "Grid"})


@dataclass(eq=False)
class Search:
    """One tuning job on its way: what Describe answers of it, and the names of its trials."""

    record: Record
    names: list[str] = field(default_factory=list)
    tuned: dict[str, dict[str, str]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """The tuning job's name."""
        return str(self.record[f"{KIND}Name"])

    @property
    def config(self) -> Record:
        """The request's settings of the search."""
        return dict(self.record[f"{KIND}Config"])


class Searches:
    """The tuning jobs and the operations on them.

    ``start``, ``find`` and ``stop`` do with a trial what the training jobs' operations do; ``start`` is
    also told among how many trials this machine is shared.
    """

    def __init__(self, start: Callable[[Record, int], Record], find: Operation, stop: Operation) -> None:
        self.start_trial, self.find_trial, self.stop_trial = start, find, stop
        self.searches: dict[str, Search] = {}
        self._lock = threading.Lock()

    def operations(self) -> dict[str, Operation]:
        """Create, describe, list and stop, and list the trials of one."""
        return {
            f"Create{KIND}": self.create,
            f"Describe{KIND}": self.describe,
            f"List{KIND}s": self.list,
            f"Stop{KIND}": self.stop,
            f"ListTrainingJobsFor{KIND}": self.list_trials,
        }

    def create(self, data: Record) -> Record:
        """Record a tuning job and start its trials on a thread."""
        _check(data)
        name = data[f"{KIND}Name"]
        with self._lock:
            if name in self.searches:
                raise ServiceError("ResourceInUse", f"{KIND} {name} already exists; names are not reused")
            search = self.searches[name] = Search(_record(data))
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run, search), daemon=True).start()
        return {f"{KIND}Arn": search.record[f"{KIND}Arn"]}

    def _run(self, search: Search) -> None:
        try:
            self._perform(search)
        except Exception as error:
            log.exception("tuning job %s", search.name)
            self._stop_trials(search)
            reason = f"InternalServerError: the local search broke: {error!r}"
            search.record.update({f"{KIND}Status": "Failed", "FailureReason": reason})

    def _perform(self, search: Search) -> None:
        limits = search.config["ResourceLimits"]
        deadline = time.time() + limits.get("MaxRuntimeInSeconds", 30 * 86400)
        waiting = itertools.islice(trials(search.config), limits.get("MaxNumberOfTrainingJobs"))
        # More processes than processors would only take turns.
        at_once = min(limits["MaxParallelTrainingJobs"], os.cpu_count() or 1)
        exhausted = False
        while not (exhausted and not self._running(search)):
            if search.stop.is_set() or time.time() > deadline:
                self._stop_trials(search)
                exhausted = True
            while not exhausted and len(self._running(search)) < at_once:
                tuned = next(waiting, None)
                exhausted = tuned is None
                if tuned is not None:
                    self._start(search, tuned, at_once)
            time.sleep(POLL_SECONDS)
        self._finish(search)

    def _start(self, search: Search, tuned: dict[str, str], at_once: int) -> None:
        number = len(search.names) + 1
        mark = hashlib.sha256(f"{search.name}/{number}".encode()).hexdigest()[:8]
        name = f"{search.name}-{number:03d}-{mark}"
        search.tuned[name] = tuned
        self.start_trial(_trial(search, name, tuned), at_once)
        search.names.append(name)  # only now: who lists the trials describes each of them

    def _running(self, search: Search) -> list[str]:
        return [name for name in search.names if self._trial(name)["TrainingJobStatus"] not in ENDED]

    def _trial(self, name: str) -> Record:
        return self.find_trial({"TrainingJobName": name})

    def _stop_trials(self, search: Search) -> None:
        for name in self._running(search):
            try:
                self.stop_trial({"TrainingJobName": name})
            except ServiceError:  # it ended meanwhile
                continue

    def _finish(self, search: Search) -> None:
        ended = [self._trial(name) for name in search.names]
        status = "Stopped" if search.stop.is_set() else "Completed"
        if status == "Completed" and not any(each["TrainingJobStatus"] == "Completed" for each in ended):
            reasons = [each.get("FailureReason", "it was stopped") for each in ended]
            search.record["FailureReason"] = f"No training job completed. The first: {reasons[0]}"
            status = "Failed"
        now = time.time()
        search.record.update({"HyperParameterTuningEndTime": now, "LastModifiedTime": now})
        search.record[f"{KIND}Status"] = status

    def _find(self, data: Record) -> Search:
        name = data[f"{KIND}Name"]
        if name not in self.searches:
            raise ServiceError("ResourceNotFound", f"Requested resource not found: {KIND} {name}")
        return self.searches[name]

    def describe(self, data: Record) -> Record:
        """Tell how far a tuning job is, and which of its trials is the best so far."""
        search = self._find(data)
        told = [self._summary(search, name) for name in search.names]
        best = sorted(
            (each for each in told if each.get("ObjectiveStatus") == "Succeeded"),
            key=lambda each: each["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
            reverse=search.config["HyperParameterTuningJobObjective"]["Type"] == "Maximize",
        )
        return {**search.record, **self._counted(search), **({"BestTrainingJob": best[0]} if best else {})}

    def _counted(self, search: Search) -> Record:
        told = [self._summary(search, name) for name in search.names]
        return {
            "TrainingJobStatusCounters": _statuses(told),
            "ObjectiveStatusCounters": _objectives(told),
        }

    def _summary(self, search: Search, name: str) -> Record:
        trial = self._trial(name)
        kept = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime")
        told = {key: trial[key] for key in (*kept, "TrainingJobStatus", "FailureReason") if key in trial}
        told["TunedHyperParameters"] = search.tuned[name]
        objective = search.config["HyperParameterTuningJobObjective"]
        final = {each["MetricName"]: each["Value"] for each in trial.get("FinalMetricDataList", ())}
        if trial["TrainingJobStatus"] == "Completed" and objective["MetricName"] in final:
            told["ObjectiveStatus"] = "Succeeded"
            reached = {**objective, "Value": final[objective["MetricName"]]}
            told["FinalHyperParameterTuningJobObjectiveMetric"] = reached
        else:
            told["ObjectiveStatus"] = "Failed" if trial["TrainingJobStatus"] in ENDED else "Pending"
        return told

    def list(self, data: Record) -> Record:
        """List tuning jobs, newest first."""
        names = (f"{KIND}Name", f"{KIND}Arn", f"{KIND}Status", "CreationTime")
        told = [
            {
                **{name: each.record[name] for name in names},
                "Strategy": each.config["Strategy"],
                "ResourceLimits": each.config["ResourceLimits"],
                **self._counted(each),
            }
            for each in reversed(self.searches.values())
            if data.get("NameContains", "") in each.name
        ]
        return {f"{KIND}Summaries": told[: data.get("MaxResults", 100)]}

    def list_trials(self, data: Record) -> Record:
        """List the trials of one tuning job, newest first, optionally those of one status."""
        search = self._find(data)
        told = [self._summary(search, name) for name in reversed(search.names)]
        wanted = data.get("StatusEquals")
        return {
            "TrainingJobSummaries": [each for each in told if wanted in (None, each["TrainingJobStatus"])]
        }

    def stop(self, data: Record) -> Record:
        """Stop a tuning job and its trials."""
        search = self._find(data)
        status = search.record[f"{KIND}Status"]
        if status != "InProgress":
            raise ServiceError("ValidationException", f"The tuning job is already {status}.")
        search.record[f"{KIND}Status"] = "Stopping"
        search.stop.set()
        return {}

    def state(self) -> dict[str, Any]:
        """What a restart keeps."""
        return {
            name: {"record": each.record, "names": each.names, "tuned": each.tuned}
            for name, each in self.searches.items()
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over saved tuning jobs; one that ran when they were saved has failed."""
        for search in self.searches.values():
            search.stop.set()
        self.searches.clear()
        for name, kept in saved.items():
            search = self.searches[name] = Search(**kept)
            if search.record[f"{KIND}Status"] not in ENDED:
                reason = "InternalServerError: the local environment was stopped while the search ran"
                search.record.update({f"{KIND}Status": "Failed", "FailureReason": reason})


def _check(data: Record) -> None:
    config = data[f"{KIND}Config"]
    if config["Strategy"] not in STRATEGIES:
        known = ", ".join(sorted(STRATEGIES))
        raise ServiceError("ValidationException", f"the local environment searches by {known} only")
    if "TrainingJobDefinition" not in data or "HyperParameterTuningJobObjective" not in config:
        problem = "the local environment takes one TrainingJobDefinition and one objective"
        raise ServiceError("ValidationException", problem)
    metrics = data["TrainingJobDefinition"]["AlgorithmSpecification"].get("MetricDefinitions", [])
    wanted = config["HyperParameterTuningJobObjective"]["MetricName"]
    if wanted not in {each["Name"] for each in metrics}:
        problem = f"the objective metric {wanted} is not among the training job's metric definitions"
        raise ServiceError("ValidationException", problem)


def _record(data: Record) -> Record:
    name, now = data[f"{KIND}Name"], time.time()
    return {
        **{key: value for key, value in data.items() if key != "Tags"},
        f"{KIND}Arn": f"arn:aws:sagemaker:{gateway.REGION}:{gateway.ACCOUNT}:{SLUG}/{name.lower()}",
        f"{KIND}Status": "InProgress",
        "CreationTime": now,
        "LastModifiedTime": now,
    }


def _trial(search: Search, name: str, tuned: Mapping[str, str]) -> Record:
    """The training job that a trial is: the definition, with drawn hyperparameters over the fixed ones."""
    definition = dict(search.record["TrainingJobDefinition"])
    fixed = definition.pop("StaticHyperParameters", {})
    objective = search.config["HyperParameterTuningJobObjective"]["MetricName"]
    return {
        **definition,
        "TrainingJobName": name,
        "HyperParameters": {**fixed, **tuned, "_tuning_objective_metric": objective},
        "TuningJobArn": search.record[f"{KIND}Arn"],
    }


def _statuses(told: list[Record]) -> dict[str, int]:
    found = [each["TrainingJobStatus"] for each in told]
    return {
        "Completed": found.count("Completed"),
        "InProgress": found.count("InProgress") + found.count("Stopping"),
        "RetryableError": 0,
        "NonRetryableError": found.count("Failed"),
        "Stopped": found.count("Stopped"),
    }


def _objectives(told: list[Record]) -> dict[str, int]:
    found = [each["ObjectiveStatus"] for each in told]
    return {kind: found.count(kind) for kind in ("Succeeded", "Pending", "Failed")}
