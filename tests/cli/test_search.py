from __future__ import annotations

import io
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber
from rich.console import Console

from cli import search
from cli.commands import tune
from cli.console import Voice
from cli.errors import CliError
from cli.search import Search, Trial
from cli.search_report import page
from cli.session import Session, session
from contract.hyperparameters import override
from contract.schema import Range, Training, Tuning
from contract.structure import build
from tests.cli.svg import parsed

NAME = "flights-261124-0532-k7wq"
NOW = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)
TUNED = {"learning_rate": "0.0021234567", "hidden": "128,64", "embedding": "8"}


@pytest.fixture
def here() -> Session:
    return session("local", "flights")


def trial(number: int, objective: float | None, **changes: Any) -> Trial:
    tuned = {**TUNED, "learning_rate": str(0.001 * number)}
    status = "InProgress" if objective is None else "Completed"
    told = {"number": number, "name": f"{NAME}-{number}", "status": status, "hyperparameters": tuned}
    return Trial(**{**told, "objective": objective, "seconds": 61.0, **changes})


def found(*trials: Trial, maximise: bool = True, **changes: Any) -> Search:
    told = {"name": NAME, "status": "Completed", "metric": "validate_auc", "asked": 3}
    scales = {"learning_rate": "Logarithmic", "embedding": "Linear"}
    return Search(**{**told, "maximise": maximise, "trials": trials, "scales": scales, **changes})


TUNING = Tuning(
    trials=5,
    parallel=9,
    objective="validate_loss",
    ranges={
        "learning_rate": Range(min=1e-4, max=1e-2, scale="log"),
        "embedding": Range(min=2, max=8),
        "hidden": Range(values=((64,), (128, 64))),
    },
)


def test_a_contract_s_search_is_told_in_sagemaker_s_words() -> None:
    assert search.request(TUNING, 7, ()) == {
        "metric": "validate_loss",
        "direction": "Minimize",
        "trials": 5,
        "parallel": 5,
        "seed": 7,
        "ranges": [
            {"name": "learning_rate", "low": 1e-4, "high": 1e-2, "whole": False, "scale": "Logarithmic"},
            {"name": "embedding", "low": 2, "high": 8, "whole": True, "scale": "Linear"},
            {"name": "hidden", "values": ["64", "128,64"]},
        ],
    }


def test_what_is_set_is_not_searched() -> None:
    left = search.request(TUNING, 7, {"hidden": "64", "embedding": "2"})
    assert [each["name"] for each in left["ranges"]] == ["learning_rate"]
    with pytest.raises(CliError, match="every hyperparameter"):
        search.request(TUNING, 7, TUNING.ranges)


@pytest.mark.parametrize(("maximise", "best"), [(True, 2), (False, 3)])
def test_the_best_trial_is_the_one_that_the_objective_asks_for(maximise: bool, best: int) -> None:
    now = found(trial(1, 0.71), trial(2, 0.72), trial(3, 0.70), trial(4, None), maximise=maximise)
    assert now.best is not None
    assert now.best.number == best
    assert now.summary().startswith("3 of 3 trials ended, best validate_auc 0.7")


def test_trials_are_read_from_sagemaker_in_the_order_in_which_they_began(here: Session) -> None:
    objective = {"Type": "Maximize", "MetricName": "validate_auc"}
    counters = {"Completed": 1, "InProgress": 1, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    number = {"Name": "learning_rate", "MinValue": "0.1", "MaxValue": "1", "ScalingType": "Logarithmic"}
    told = {
        "HyperParameterTuningJobName": NAME,
        "HyperParameterTuningJobArn": f"arn:aws:sagemaker:us-east-1:000000000000:tuning/{NAME}",
        "HyperParameterTuningJobStatus": "InProgress",
        "CreationTime": NOW,
        "TrainingJobStatusCounters": counters,
        "ObjectiveStatusCounters": {"Succeeded": 1, "Pending": 1, "Failed": 0},
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": objective,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 3, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": [number]},
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"epochs": "3", "run": "r1", "sagemaker_program": "start.sh"},
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "RoleArn": "arn:aws:iam::000000000000:role/training",
            "OutputDataConfig": {"S3OutputPath": "s3://b/p"},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }
    jobs = [
        {
            "TrainingJobName": f"{NAME}-{number}",
            "TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/x",
            "CreationTime": NOW + timedelta(seconds=number),
            "TrainingStartTime": NOW,
            "TrainingJobStatus": status,
            "TunedHyperParameters": {"learning_rate": "0.1"},
            **final,
        }
        for number, status, final in (
            (2, "InProgress", {}),
            (
                1,
                "Completed",
                {
                    "TrainingEndTime": NOW + timedelta(seconds=90),
                    "FinalHyperParameterTuningJobObjectiveMetric": {**objective, "Value": 0.72},
                },
            ),
        )
    ]
    with Stubber(here.client("sagemaker")) as sagemaker:
        sagemaker.add_response("describe_hyper_parameter_tuning_job", told)
        sagemaker.add_response(
            "list_training_jobs_for_hyper_parameter_tuning_job", {"TrainingJobSummaries": jobs}
        )
        now = search.look(here, NAME)
    first, second = now.trials
    assert (first.number, first.seconds) == (1, 90)
    assert first.objective == pytest.approx(0.72)
    assert (second.number, second.objective, second.status) == (2, None, "InProgress")
    assert (now.asked, now.fixed, now.scales) == (3, {"epochs": "3"}, {"learning_rate": "Logarithmic"})


def test_the_table_has_the_best_first_and_those_without_a_result_last() -> None:
    out = io.StringIO()
    rows = search.rows(found(trial(1, 0.71), trial(2, None, status="Failed"), trial(3, 0.72)))
    Console(file=out, width=200).print(rows)
    head, *lines = [line.split() for line in out.getvalue().splitlines()]
    assert head[:2] == ["trial", "validate_auc"]
    assert [line[0] for line in lines] == ["3", "1", "2"]
    assert lines[0][1] == "0.72000"
    assert lines[2][-1] == "Failed"


def test_the_best_trial_is_told_as_lines_to_paste(here: Session) -> None:
    best = trial(2, 0.72)
    lines = search.pasted(here, found(best, fixed={"epochs": "3"}), best)
    assert lines[3:8] == (
        "[model.training]",
        "epochs = 3",
        "learning_rate = 0.002",
        "hidden = [128, 64]",
        "embedding = 8",
    )
    assert lines[-1] == (
        "millrace train --set epochs=3 --set learning_rate=0.002 --set hidden=128,64 --set embedding=8"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_decay", "1e-07"),
        ("weight_decay", "1"),
        ("seed", "3"),
        ("precision", "fp32"),
        ("hidden", "64"),
    ],
)
def test_a_pasted_line_is_read_as_the_trial_s_value(name: str, value: str) -> None:
    (line,) = search.toml_lines({name: value})
    contract = build(Training, tomllib.loads(line), "")
    assert contract == override(Training(), {name: value})


def test_a_trial_is_told_in_one_line_whatever_became_of_it() -> None:
    done, failed = trial(1, 0.72), trial(2, None, status="Failed", reason="ValueError: no rows\nTraceback …")
    now = found(done, failed, trial(3, None))
    assert [tune.spoken(now, each) for each in now.trials] == [
        "trial 1/3 ended after 1 min 01 s: validate_auc 0.72000 (best so far)",
        "trial 2/3 failed: ValueError: no rows",
        "trial 3/3 started: learning_rate=0.003 hidden=128,64 embedding=8",
    ]


def test_a_search_without_a_result_ends_with_the_first_reason(here: Session, tmp_path: Any) -> None:
    ended = found(trial(1, None, status="Failed", reason="ValueError: no rows"), status="Failed")
    with pytest.raises(CliError, match="no rows") as failed:
        tune.show(here, Voice(Console(file=io.StringIO())), ended, tmp_path / "page.html")
    assert failed.value.where.endswith("no trial completed")
    assert not (tmp_path / "page.html").exists()


class Keyboard:
    """A terminal at which ``answer`` is typed, or none."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return self.answer is not None


@pytest.mark.parametrize(("answer", "stopped"), [(None, True), ("", True), ("y", True), ("n", False)])
def test_ctrl_c_stops_a_search_unless_somebody_says_no(
    here: Session, monkeypatch: pytest.MonkeyPatch, answer: str | None, stopped: bool
) -> None:
    looks = iter([None, found(status="Stopped")])

    def look(*_: Any) -> Search:
        now = next(looks)
        if now is None:
            raise KeyboardInterrupt
        return now

    monkeypatch.setattr(search, "look", look)
    monkeypatch.setattr("sys.stdin", Keyboard(answer))
    monkeypatch.setattr("builtins.input", lambda _: answer)
    with Stubber(here.client("sagemaker")) as sagemaker:
        if stopped:
            named = {"HyperParameterTuningJobName": NAME}
            sagemaker.add_response("stop_hyper_parameter_tuning_job", {}, named)
        with pytest.raises(KeyboardInterrupt):
            tune.watch(here, Voice(Console(file=io.StringIO())), NAME)
        sagemaker.assert_no_pending_responses()


@pytest.mark.parametrize("numbers", [{"trials": 0}, {"parallel": -1}])
def test_a_number_that_is_too_small_is_refused(here: Session, numbers: dict[str, int]) -> None:
    with pytest.raises(CliError, match="is too few"):
        tune.asked(here, numbers.get("trials"), numbers.get("parallel"))


def test_the_page_is_one_file_that_draws_every_trial_and_hyperparameter() -> None:
    now = found(trial(1, 0.71), trial(2, 0.72), trial(3, None, status="Failed"))
    text = page("flights", now)
    assert "http" not in text.replace("http-equiv", "")
    plots = parsed(text)
    assert [each.attrib["aria-label"].split(" (")[0] for each in plots] == [
        "validate_auc by trial",
        "validate_auc by learning_rate",
        "validate_auc by hidden",
        "validate_auc by embedding",
    ]
    for plot in plots:
        dots = [each for each in plot.iter() if each.tag == "circle"]
        assert len(dots) == 2
        assert sum(each.attrib["class"] == "dot best" for each in dots) == 1
        assert all(0 <= float(each.attrib["cy"]) <= 260 for each in dots)
        assert all(0 <= float(each.attrib["cx"]) <= 420 for each in dots)


def test_the_page_survives_one_trial_and_what_looks_like_markup() -> None:
    odd = trial(1, 0.71, hyperparameters={"hidden": "<b>&"})
    assert "<b>" not in page("flights", found(odd))
