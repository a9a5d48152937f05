"""A hyperparameter search: what the contract asks for, its trials, and what the best one means."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

from cli.console import duration, table
from cli.errors import CliError
from contract.schema import Range, Training, Tuning

if TYPE_CHECKING:
    from rich.table import Table

    from cli.session import Session

DIRECTIONS = {"validate_auc": "Maximize", "validate_loss": "Minimize"}
"""The contract's objective → SageMaker's word for which way is better."""
LARGEST_SEED = 2**32
"""SageMaker's seeds are below it, a contract's may not be."""
SCALES = {"linear": "Linear", "log": "Logarithmic"}
NOT_OURS = ("workload", "run", "sagemaker_program", "sagemaker_submit_directory")
"""Fixed hyperparameters of a trial that say how it is started, not what it trains."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training job of a search: ``objective`` is None until it has completed."""

    number: int
    name: str
    status: str
    hyperparameters: Mapping[str, str]
    objective: float | None = None
    seconds: float = 0
    reason: str = ""

    def line(self) -> str:
        """Give its hyperparameters, short enough to read."""
        return " ".join(f"{name}={short(value)}" for name, value in self.hyperparameters.items())


@dataclass(frozen=True, kw_only=True)
class Search:
    """How far a search is: its ``trials`` in the order in which they began."""

    name: str
    status: str
    metric: str
    maximise: bool
    asked: int
    trials: tuple[Trial, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    scales: Mapping[str, str] = field(default_factory=dict)
    """Hyperparameter that is a number → SageMaker's word for its scale."""
    reason: str = ""

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best objective."""
        return next(iter(self.ranked()), None)

    def ranked(self) -> list[Trial]:
        """Give the completed trials, the best first."""
        done = [each for each in self.trials if each.objective is not None]
        return sorted(done, key=attrgetter("objective"), reverse=self.maximise)

    def ended(self) -> int:
        """Count the trials that no longer run."""
        return sum(each.status in ("Completed", "Failed", "Stopped") for each in self.trials)

    def summary(self) -> str:
        """Say in a few words how far the search is."""
        failed = sum(each.status == "Failed" for each in self.trials)
        best = f", best {self.metric} {self.best.objective:.5g}" if self.best else ""
        return f"{self.ended()} of {self.asked} trials ended{f', {failed} failed' if failed else ''}{best}"


def request(tuning: Tuning, seed: int, fixed: Iterable[str]) -> dict[str, Any]:
    """Give the search that a contract asks for; `tuning/plan.py` reads it. What is ``fixed`` is not searched.

    Raises `CliError` where nothing is left to search.
    """
    ranges = [wanted(name, where) for name, where in tuning.ranges.items() if name not in set(fixed)]
    if not ranges:
        remedy = "leave one of them out, or give [model.tuning.ranges] of the contract another range"
        raise CliError("every hyperparameter of the search was given a value", "--set", remedy)
    return {
        "metric": tuning.objective,
        "direction": DIRECTIONS[tuning.objective],
        "trials": tuning.trials,
        "parallel": min(tuning.parallel, tuning.trials),
        "seed": seed % LARGEST_SEED,
        "ranges": ranges,
    }


def wanted(name: str, where: Range) -> dict[str, Any]:
    """Give one range of the contract as the SDK is told it."""
    if where.values:
        return {"name": name, "values": [written(value) for value in where.values]}
    whole = get_type_hints(Training)[name] is int
    return {"name": name, "low": where.min, "high": where.max, "whole": whole, "scale": SCALES[where.scale]}


def written(value: object) -> str:
    """Write a value as a training job reads it, and as ``--set`` takes it: ``128,64`` for a list."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def look(here: Session, name: str) -> Search:
    """Ask SageMaker how far the search ``name`` is."""
    client = here.client("sagemaker")
    told = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    jobs = sorted((each for page in pages for each in page["TrainingJobSummaries"]), key=began)
    config = told["HyperParameterTuningJobConfig"]
    fixed = told["TrainingJobDefinition"].get("StaticHyperParameters", {})
    return Search(
        name=name,
        status=told["HyperParameterTuningJobStatus"],
        metric=config["HyperParameterTuningJobObjective"]["MetricName"],
        maximise=config["HyperParameterTuningJobObjective"]["Type"] == "Maximize",
        asked=config["ResourceLimits"]["MaxNumberOfTrainingJobs"],
        trials=tuple(trial(number, each) for number, each in enumerate(jobs, 1)),
        scales=scales(config.get("ParameterRanges", {})),
        fixed={key: value for key, value in fixed.items() if key not in NOT_OURS},
        reason=told.get("FailureReason", ""),
    )


def scales(ranges: Mapping[str, Any]) -> dict[str, str]:
    """Give the scale of each hyperparameter that is a number."""
    kinds = ("IntegerParameterRanges", "ContinuousParameterRanges")
    return {each["Name"]: each.get("ScalingType", "Auto") for kind in kinds for each in ranges.get(kind, ())}


def began(job: Mapping[str, Any]) -> tuple[datetime, str]:
    """Order trials by when they were made."""
    return job["CreationTime"], job["TrainingJobName"]


def trial(number: int, job: Mapping[str, Any]) -> Trial:
    """Read one trial from SageMaker's summary of it."""
    start, end = job.get("TrainingStartTime"), job.get("TrainingEndTime") or datetime.now(UTC)
    final = job.get("FinalHyperParameterTuningJobObjectiveMetric", {})
    return Trial(
        number=number,
        name=job["TrainingJobName"],
        status=job["TrainingJobStatus"],
        hyperparameters=dict(sorted(job["TunedHyperParameters"].items())),
        objective=final.get("Value") if job["TrainingJobStatus"] == "Completed" else None,
        seconds=(end - start).total_seconds() if start else 0,
        reason=job.get("FailureReason", ""),
    )


def short(value: str) -> str:
    """Write a number with four digits; leave other texts alone."""
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value


def rows(search: Search) -> Table:
    """Lay out the trials, the best first, those without a result last."""
    names = list(dict.fromkeys(name for each in search.trials for name in each.hyperparameters))
    laid = table("trial", search.metric, *names, "took", "status")
    ranked = search.ranked()
    for each in [*ranked, *(other for other in search.trials if other.objective is None)]:
        objective = "" if each.objective is None else f"{each.objective:.5f}"
        values = [short(each.hyperparameters.get(name, "")) for name in names]
        laid.add_row(str(each.number), objective, *values, duration(each.seconds), each.status)
    return laid


def toml_lines(hyperparameters: Mapping[str, str]) -> list[str]:
    """Write hyperparameters as lines of the contract's ``[model.training]``."""
    kinds = get_type_hints(Training)
    return [f"{name} = {toml(value, kinds.get(name))}" for name, value in hyperparameters.items()]


def toml(value: str, kind: Any) -> str:
    """Write one value in TOML, as the hyperparameter's ``kind`` has it."""
    if kind is int:
        return str(int(value))
    if kind is float:
        return repr(float(value))
    if get_origin(kind) is not tuple:
        return json.dumps(value)
    return f"[{', '.join(part.strip() for part in value.strip('[]()').split(','))}]"


def pasted(here: Session, search: Search, best: Trial) -> Sequence[str]:
    """Give the best trial as lines to paste: into the contract, and into a shell."""
    chosen = {**search.fixed, **best.hyperparameters}
    sets = " ".join(f"--set {name}={value}" for name, value in chosen.items())
    return (
        f"best: trial {best.number}, {search.metric} {best.objective:.5f}",
        "",
        f"# workloads/{here.workload}/contract.toml",
        "[model.training]",
        *toml_lines(chosen),
        "",
        f"millrace train{here.flags} {sets}",
    )
