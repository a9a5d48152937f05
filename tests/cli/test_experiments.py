from __future__ import annotations

import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from rich.console import Console

from cli import experiments, sdk
from cli.commands.experiment import show
from cli.console import Voice
from cli.errors import CliError
from cli.session import Session, session

NOW = datetime(2026, 11, 24, 5, 32, tzinfo=UTC)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr("cli.experiments.time.sleep", lambda _: None)
    return session("local", "flights")


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def voice(written: io.StringIO) -> Voice:
    return Voice(Console(file=written))


def test_names_fit_what_sagemaker_allows_and_tell_jobs_of_a_minute_apart() -> None:
    name = experiments.stamped("a-workload-with-a-very-long-name", experiments.LONGEST_SEARCH, NOW)
    assert re.fullmatch(r"a-workload-with-261124-0532-[a-z2-9]{4}", name)
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", name)
    assert name != experiments.stamped("a-workload-with-a-very-long-name", experiments.LONGEST_SEARCH, NOW)


def test_the_published_run_is_trained_on(here: Session) -> None:
    body = json.dumps({"run": "r7", "prefix": "s3://lake/flights/runs/r7"}).encode()
    with Stubber(here.client("s3")) as s3:
        s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))})
        assert experiments.published(here, "lake") == "r7"


def test_without_a_published_run_the_way_to_one_is_told(here: Session) -> None:
    with Stubber(here.client("s3")) as s3:
        s3.add_client_error("get_object", "NoSuchKey", http_status_code=404)
        with pytest.raises(CliError, match="no run has been published") as refused:
            experiments.published(here, "lake")
    assert "millrace ingest" in refused.value.remedy


def test_a_run_without_examples_is_refused_before_anything_starts(here: Session) -> None:
    with Stubber(here.client("s3")) as s3:
        s3.add_response("list_objects_v2", {"KeyCount": 0})
        with pytest.raises(CliError, match="run r7 left no examples"):
            experiments.check_examples(here, "lake", "r7")


def test_a_plan_says_whose_the_job_is_and_keeps_it_out_of_the_pipeline_s_way(here: Session) -> None:
    plan = experiments.plan(here, experiments.Place("r7", "{}", "models"), "e1", {"epochs": "3"})
    assert plan["tags"] == {"project": "millrace", "environment": "local", "workload": "flights"}
    assert plan["prefix"] == "flights/experiments/e1"
    assert (plan["run"], plan["bucket"], plan["hyperparameters"]) == ("r7", "models", {"epochs": "3"})


def test_following_says_every_line_of_the_log_once_until_the_job_ends(
    here: Session, voice: Voice, written: io.StringIO
) -> None:
    line = {"eventId": "1", "timestamp": 1, "message": "millrace epoch=1"}
    with Stubber(here.client("sagemaker")) as sagemaker, Stubber(here.client("logs")) as logs:
        for status, events in (("InProgress", [line]), ("Completed", [line, {**line, "eventId": "2"}])):
            sagemaker.add_response("describe_training_job", described(TrainingJobStatus=status))
            logs.add_response("filter_log_events", {"events": events})
        told = experiments.follow(here, voice, "e1")
    assert told["TrainingJobStatus"] == "Completed"
    assert [text[10:] for text in written.getvalue().splitlines()] == ["millrace epoch=1"] * 2


def described(**changes: Any) -> dict[str, Any]:
    told = {
        "TrainingJobName": "e1",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/e1",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://models/flights/experiments/e1/model.tar.gz"},
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Training",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m6i.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "CreationTime": NOW,
    }
    return {**told, **changes}


def test_the_end_tells_metrics_and_where_the_artefact_lies(
    voice: Voice, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = [{"MetricName": "validate_auc", "Value": 0.7216}, {"MetricName": "epoch", "Value": 3.0}]
    show(voice, described(FinalMetricDataList=metrics, TrainingTimeInSeconds=75), "e1")
    assert capsys.readouterr().out.splitlines() == [
        "validate_auc 0.7216",
        "artefact s3://models/flights/experiments/e1/model.tar.gz",
    ]


def test_a_failed_job_ends_with_its_reason(voice: Voice) -> None:
    with pytest.raises(CliError, match="AlgorithmError: no rows"):
        show(voice, described(TrainingJobStatus="Failed", FailureReason="AlgorithmError: no rows"), "e1")


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_stopping_what_has_ended_or_never_began_is_no_failure(here: Session, code: str) -> None:
    with Stubber(here.client("sagemaker")) as sagemaker:
        sagemaker.add_client_error("stop_training_job", code)
        experiments.stop(here, "stop_training_job", TrainingJobName="e1")
        sagemaker.assert_no_pending_responses()


def test_stopping_without_the_right_to_is_told(here: Session) -> None:
    with Stubber(here.client("sagemaker")) as sagemaker:
        sagemaker.add_client_error("stop_training_job", "AccessDeniedException")
        with pytest.raises(ClientError):
            experiments.stop(here, "stop_training_job", TrainingJobName="e1")


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), CliError("refused")])
def test_what_ends_before_its_time_leaves_nothing_running(
    here: Session, voice: Voice, monkeypatch: pytest.MonkeyPatch, ending: BaseException
) -> None:
    def start(*_: Any) -> None:
        raise ending

    monkeypatch.setattr(sdk, "start", start)
    with Stubber(here.client("sagemaker")) as sagemaker:
        sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": "e1"})
        with pytest.raises(type(ending)):
            experiments.begin(here, voice, {"name": "e1"}, "stop_training_job", TrainingJobName="e1")
        sagemaker.assert_no_pending_responses()


# ---- the SDK's child ------------------------------------------------------------------------------


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SDK's environment with another module `tuning` in it; the file to write that module into."""
    environment = tmp_path / "environment"
    (environment / "bin").mkdir(parents=True)
    (environment / "ready").touch()
    (environment / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sdk, "ENVIRONMENT", environment)
    monkeypatch.setattr(sdk, "REPOSITORY", tmp_path)
    return tmp_path / "tuning.py"


def test_the_child_is_given_the_plan_and_the_emulator_and_its_lines_are_passed_on(
    here: Session, voice: Voice, child: Path, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    child.write_text(
        "import json, os, sys\n"
        "print('plan', json.load(sys.stdin)['name'])\n"
        "print(os.environ['AWS_ENDPOINT_URL'], os.environ.get('AWS_PROFILE'))\n"
        "print('a warning', file=sys.stderr)\n"
    )
    sdk.start(here, voice, {"name": "e1"})
    said = [text[10:] for text in written.getvalue().splitlines()]
    assert said == ["plan e1", f"{here.settings.emulator} None"]


def test_a_child_that_fails_is_told_by_its_last_line_with_what_to_do(
    here: Session, voice: Voice, child: Path
) -> None:
    told = json.dumps({"problem": "ResourceLimitExceeded: 0 instances", "code": "ResourceLimitExceeded"})
    child.write_text(f"import sys\nsys.stdin.read()\nsys.exit('noise\\n' + {told!r})")
    with pytest.raises(CliError, match="0 instances") as failed:
        sdk.start(here, voice, {})
    assert "Service Quotas" in failed.value.remedy


def test_a_child_that_crashes_is_told_in_full(here: Session, voice: Voice, child: Path) -> None:
    child.write_text("import sys\nsys.stdin.read()\nraise RuntimeError('broken')")
    with pytest.raises(CliError, match="RuntimeError: broken"):
        sdk.start(here, voice, {})


def test_without_the_sdk_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "ENVIRONMENT", tmp_path)
    with pytest.raises(CliError, match="is not installed") as missing:
        sdk.python()
    assert "make setup-tuning" in missing.value.remedy
