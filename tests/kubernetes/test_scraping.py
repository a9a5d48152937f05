"""A real Prometheus scrapes a real server, started as the manifests say, and finds all that is asked of it.

It takes up to ten seconds until Prometheus has found its target and two samples; nothing depends on how long.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml

from tests.functions.tiny_bundle import PARCEL, make_bundle
from tests.kubernetes.kustomize import render
from tests.kubernetes.test_dashboard import expressions
from tests.kubernetes.tools import REPOSITORY, promtool, rule_groups, tool, write_rules
from tests.server.running import Running, running

Ask = Callable[[str], list[Any]]
PREDICT = "/v1/models/parcels/predict"
PREDICTIONS = "namespace_job:millrace_predictions:increase5m"


def container() -> Any:
    (deployment,) = [each for each in render(REPOSITORY / "kubernetes/base") if each["kind"] == "Deployment"]
    return deployment["spec"]["template"]["spec"]["containers"][0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server with the container's arguments and variables, but for the place and a free port."""
    bundle = make_bundle(tmp_path_factory.mktemp("scraped") / "bundle")
    variables = {each["name"]: each["value"] for each in container()["env"]} | {
        "MILLRACE_BUNDLE": str(bundle)
    }
    del variables["MILLRACE_SERVER_PORT"]
    arguments = [text.replace("$(MILLRACE_BUNDLE)", str(bundle)) for text in container()["args"]]
    with running(*arguments, **variables) as process:
        yield process


@pytest.fixture(scope="module")
def ask(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Prometheus, once it has seen requests arrive; what asks it."""
    some_requests(server)  # every series begins before the first scrape
    with prometheus(tmp_path_factory.mktemp("prometheus"), server.port) as address:

        def ask(question: str) -> list[Any]:
            found: list[Any] = get(f"{address}/api/v1/query?query={quote(question)}")["result"]
            return found

        def seen() -> bool:
            some_requests(server)
            return any(float(each["value"][1]) > 0 for each in ask(PREDICTIONS))

        until(seen)
        yield ask


def some_requests(server: Running) -> None:
    body = json.dumps({"records": [PARCEL, {**PARCEL, "weight": 99999.0}]}).encode()
    for _ in range(5):
        assert server.call("POST", PREDICT, body)[0].status == 200
        assert server.call("POST", "/invocations", body)[0].status == 200
        assert server.call("POST", PREDICT, b"nonsense")[0].status == 400


@contextmanager
def prometheus(folder: Path, scraped: int) -> Iterator[str]:
    """Run Prometheus on a free port with our rules, and return its address once it is ready."""
    monitor = next(
        each for each in render(REPOSITORY / "kubernetes/example") if each["kind"] == "ServiceMonitor"
    )
    job = {
        "job_name": "millrace-server",
        "metrics_path": monitor["spec"]["endpoints"][0]["path"],
        "static_configs": [{"targets": [f"127.0.0.1:{scraped}"], "labels": {"namespace": "parcels"}}],
    }
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(write_rules(folder, [{**group, "interval": "1s"} for group in rule_groups()]))],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    promtool("check", "config", folder / "prometheus.yml")
    address = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), f"--config.file={folder}/prometheus.yml", "--log.level=warn"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            until(lambda: is_ready(address, process, folder / "log"))
            yield f"http://{address}"
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port: int = opened.getsockname()[1]
        return port


def is_ready(address: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with urlopen(f"http://{address}/-/ready") as answer:
            return bool(answer.status == 200)
    except URLError:
        return False


def until(true: Callable[[], bool]) -> None:
    """Wait until ``true`` is."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("what was waited for did not come within a minute")


def get(address: str) -> Any:
    with urlopen(address) as answer:
        return json.load(answer)["data"]


@pytest.mark.parametrize("probe", ["startup", "readiness", "liveness"])
def test_given_a_server_with_a_model_when_probed_then_it_says_yes(server: Running, probe: str) -> None:
    path = container()[f"{probe}Probe"]["httpGet"]["path"]
    assert server.call("GET", path)[0].status == 200


def test_given_a_server_that_waits_for_a_model_when_probed_then_it_lives_but_is_not_ready(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    with running(str(tmp_path / "empty"), MILLRACE_POLL_SECONDS="60") as waiting:
        answers = {
            probe: waiting.call("GET", container()[f"{probe}Probe"]["httpGet"]["path"])[0].status
            for probe in ("startup", "readiness", "liveness")
        }
    assert answers == {"startup": 200, "readiness": 503, "liveness": 200}


def test_given_a_prometheus_when_it_scrapes_then_the_target_is_up_and_all_is_well(
    ask: Ask,
) -> None:
    (up,) = ask("max_over_time(up[1m])")
    assert up["value"][1] == "1"
    assert ask('ALERTS{alertstate="firing"}') == []
    (counted,) = ask(PREDICTIONS)
    assert counted["metric"]["namespace"] == "parcels"


def test_given_the_dashboard_when_its_panels_ask_then_every_one_is_answered(
    ask: Ask,
) -> None:
    chosen = {"$namespace": "parcels", "$instance": ".+", "$__rate_interval": "1m"}
    unanswered = [
        question
        for question in expressions(chosen)
        if not ask(question) and "ALERTS" not in question and 'status=~"5.."' not in question
    ]
    assert unanswered == []


def test_given_what_alerts_and_dashboard_name_when_asked_then_the_server_tells_it(
    ask: Ask,
) -> None:
    asked = [rule["expr"] for group in rule_groups() for rule in group["rules"]] + expressions()
    named = set(
        re.findall(
            r"\b(?:millrace|process)_\w+", " ".join(re.sub(r"namespace_job:\S+", "", each) for each in asked)
        )
    )
    assert len(named) >= 10
    assert [name for name in sorted(named) if not ask(name)] == []
