"""Settings are refused with file, key and remedy before any resource is made."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import botocore.session
import pytest

from infra import settings
from infra.settings import ENVIRONMENTS, SettingsError, load

ALL = sorted(path.stem for path in ENVIRONMENTS.glob("*.toml"))


@pytest.fixture(autouse=True)
def port_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs these tests may have moved their own environment to another port."""
    monkeypatch.delenv("MILLRACE_PORT", raising=False)


def written(folder: Path, text: str) -> Path:
    (folder / "trial.toml").write_text(text)
    return folder


def test_given_the_repository_then_four_environments_load() -> None:
    assert ALL == ["dev", "local", "prod", "staging"]
    for env in ALL:
        assert load(env).env == env


def test_given_an_empty_file_then_the_defaults_hold(tmp_path: Path) -> None:
    assert load("trial", written(tmp_path, "")) == settings.Settings(env="trial")


def test_given_nested_values_then_only_they_change(tmp_path: Path) -> None:
    found = load("trial", written(tmp_path, 'workloads = ["parcels"]\n[serving]\nrate = 7\n'))
    assert found.workloads == ("parcels",)
    assert found.serving.rate == 7
    assert found.serving.burst == settings.Serving().burst


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("colour = 1", "colour", "unknown key"),
        ("[serving]\nmemory = 1", "serving.memory", "memory_mb"),
        ("log_days = '7'", "log_days", "of type int"),
        ("retain = 1", "retain", "of type bool"),
        ("log_days = true", "log_days", "of type int"),
        ("log_days = 8", "log_days", "no such retention period"),
        ("approval = 'maybe'", "approval", "'automatic' or 'manual'"),
        ("workloads = 'flights'", "workloads", "a list of strings"),
        ("workloads = []", "workloads", "no workload"),
        ("region = 'cn-north-1'", "region", "no training image in 'cn-north-1'"),
        ("serving = 3", "serving", "a table"),
        ("[glue]\nworkers = 1", "glue.workers", "at least 2"),
        ("[serving]\npython = '3.9'", "serving.python", "3.13"),
        ("[serving]\npython = '3.11'\nsnap_start = true", "serving.snap_start", "3.12"),
        ("[serving]\nburst = 1", "serving.burst", "serving.rate"),
        ("port = 80", "port", "1024"),
        ("env = 'dev'", "env", "Remove"),
        ("a = ", "syntax", "TOML"),
        ("a = 2013-02-30", "syntax", "TOML"),
        ("workloads = ['my_parcels']", "workloads", "my_parcels"),
        ("[serving]\ntargets = ['lambda', 'edge']", "serving.targets", "lambda, endpoint"),
        ("[serving]\ntargets = []", "serving.targets", "nothing would answer"),
        ("[serving]\ntargets = ['lambda', 'lambda']", "serving.targets", "stands twice"),
        ("[endpoint]\ninstance = 'ml.c6i.large'", "endpoint.instance", "arm64"),
        ("[endpoint]\ninstance = 'ml.m7g.large'", "endpoint.instance", "arm64"),
        ("[endpoint]\ninstances = 0", "endpoint.instances", "1 or more"),
        ("[endpoint]\ninstances = 5", "endpoint.most", "endpoint.instances"),
        ("[endpoint]\ninvocations_per_instance = 0", "endpoint.invocations_per_instance", "1 or more"),
        ("[endpoint]\ncanary_percent = 51", "endpoint.canary_percent", "1 to 50"),
        ("port = 4566\n[api]\nauth = 'iam'", "api.auth", "signatures"),
        ("[api]\nauth = 'cookie'", "api.auth", "'token' or 'iam'"),
        ("port = 4566\n[network]\nvpc = true", "network.vpc", "laptop"),
        ("[endpoint]\ncanary_minutes = 0", "endpoint.canary_minutes", "1 to 60"),
    ],
)
def test_given_a_slip_then_the_error_names_file_key_and_remedy(
    tmp_path: Path, text: str, key: str, says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load("trial", written(tmp_path, text))
    assert caught.value.key == key
    assert str(tmp_path / "trial.toml") in str(caught.value)
    assert says in str(caught.value)
    assert caught.value.remedy


def test_given_an_unknown_environment_then_the_known_ones_are_named() -> None:
    with pytest.raises(SettingsError, match="dev, local, prod, staging"):
        load("production")


def test_given_local_then_functions_run_on_this_host() -> None:
    serving = load("local").serving
    assert serving.python == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (
        serving.architecture == {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    )


def test_given_another_port_then_local_follows_it_and_aws_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_PORT", "4601")
    assert load("local").emulator == "http://127.0.0.1:4601"
    assert load("dev").emulator is None


def test_given_a_port_that_is_none_then_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for port in ("https", "9" * 5000):
        monkeypatch.setenv("MILLRACE_PORT", port)
        with pytest.raises(SettingsError, match="MILLRACE_PORT"):
            load("local")


def test_given_a_file_in_another_encoding_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_bytes("# Größe".encode("latin-1"))
    with pytest.raises(SettingsError, match="UTF-8"):
        load("trial", tmp_path)


def test_names_are_those_that_commands_and_machines_use() -> None:
    dev = load("dev")
    assert dev.stack("foundation") == "millrace-dev-foundation"
    assert dev.name("flights", "predict") == "millrace-dev-flights-predict"
    assert dev.name("flights") == "millrace-dev-flights"
    assert dev.parameter("flights", "layer") == "/millrace/dev/flights/layer"
    assert dev.database("flights") == "millrace_dev_flights"


@pytest.mark.parametrize("env", ALL)
def test_instances_and_workers_are_such_as_the_services_know(env: str) -> None:
    found, session = load(env), botocore.session.get_session()
    sagemaker = session.get_service_model("sagemaker")
    assert found.training.instance in sagemaker.shape_for("TrainingInstanceType").enum
    assert found.packaging.instance in sagemaker.shape_for("ProcessingInstanceType").enum
    assert found.glue.worker in session.get_service_model("glue").shape_for("WorkerType").enum


@pytest.mark.parametrize("targets", [("lambda",), ("endpoint",), ("lambda", "endpoint")])
def test_given_targets_then_they_say_what_callers_reach(tmp_path: Path, targets: tuple[str, ...]) -> None:
    found = load("trial", written(tmp_path, f"[serving]\ntargets = {list(targets)}\n"))
    assert (found.function_answers, found.has_endpoint) == ("lambda" in targets, "endpoint" in targets)
    assert settings.Settings(env="trial").serving.targets == ("lambda",)


def test_endpoints_take_every_host_that_sagemaker_has_for_the_images_processor() -> None:
    known = botocore.session.get_session().get_service_model("sagemaker")
    hosts = known.shape_for("ProductionVariantInstanceType").enum
    ours = {
        host for host in hosts if host.startswith(("ml.c6g.", "ml.c7g.", "ml.c8g.", "ml.m6g.", "ml.m8g."))
    }
    assert {host for host in hosts if settings.HOSTS.fullmatch(host)} == ours
    assert settings.HOSTS.fullmatch("ml.c7g.medium") is None  # there is none


def test_production_keeps_its_data_and_asks_a_person() -> None:
    prod = load("prod")
    assert prod.retain
    assert prod.approval == "manual"
    assert prod.log_days >= 365
