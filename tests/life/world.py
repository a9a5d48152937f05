"""A copy of the repository with a second workload, deployed on this machine, and eyes to look at it.

Commands run as a user would run them; what happened is read back through AWS's own APIs and plain HTTP.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3

from tests.workload_factory import make_workload

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
TOY = "parcels"
SHARED = ("node_modules", ".millrace/bundles", ".venv-tuning")
"""Built once in the repository and only read: linked into the copy."""


def copy_of_the_repository(folder: Path) -> Path:
    """Every file of the repository that git would carry, and the toy workload beside the others."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in SHARED:
        (ROOT / name).mkdir(parents=True, exist_ok=True)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    return folder


def add_toy_workload(folder: Path, rows: int = 6000) -> Path:
    """Add a workload the way a user does: a folder, and its name in the environment's file."""
    made = make_workload(folder / "workloads" / TOY, rows=rows, seed=3)
    file = folder / "environments" / "local.toml"
    assert "workloads" not in tomllib.loads(file.read_text())
    file.write_text(f'workloads = ["flights", "{TOY}"]\n{file.read_text()}')
    return made


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; ``body`` is parsed JSON where it is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class World:
    """One environment `local` made from the copy in ``folder``."""

    folder: Path
    port: int
    made: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def variables(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MILLRACE"))}
        return kept | {"MILLRACE_PORT": str(self.port), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def millrace(
        self, *arguments: str, seconds: float = 600, fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; it must succeed, or fail where ``fails``."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        told = f"millrace {arguments} → {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        assert (done.returncode != 0) == fails, told
        return done

    def client(self, service: str) -> Any:
        if service not in self.made:
            self.made[service] = boto3.client(
                service,
                endpoint_url=f"http://127.0.0.1:{self.port}",
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",
            )
        return self.made[service]

    def outputs(self, workload: str = TOY) -> dict[str, str]:
        told = self.millrace("outputs", "--json", "--workload", workload).stdout
        return dict(json.loads(told))

    def token(self) -> str:
        return self.millrace("token", "--workload", TOY).stdout.strip()

    def call(
        self, method: str, url: str, body: Any = None, token: str | None = None, **headers: str
    ) -> Reply:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            request.add_header(name, value)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return reply(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return reply(error.code, dict(error.headers), error.read())

    def parameter(self, name: str, workload: str = TOY) -> str:
        path = f"/millrace/local/{workload}/{name}"
        return str(self.client("ssm").get_parameter(Name=path)["Parameter"]["Value"])

    def champion(self, workload: str = TOY) -> dict[str, str]:
        return dict(json.loads(self.parameter("champion", workload)))

    def live_version(self, workload: str = TOY) -> str:
        name = f"millrace-local-{workload}-predict"
        return str(self.client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"])

    def lock(self, workload: str = TOY) -> dict[str, Any] | None:
        key = {"workload": {"S": workload}}
        table = f"millrace-local-{workload}-releases"
        found = self.client("dynamodb").get_item(TableName=table, Key=key).get("Item")
        return dict(found) if found else None

    def lines(self, log: str, workload: str = TOY) -> list[dict[str, Any]]:
        """The JSON lines of a workload's log, oldest first."""
        group = f"/millrace/local/{workload}/{log}"
        events = self.client("logs").filter_log_events(logGroupName=group)["events"]
        return [json.loads(each["message"]) for each in events]

    def executions(self, kind: str, workload: str = TOY) -> list[dict[str, Any]]:
        arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:millrace-local-{workload}-{kind}"
        found = self.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
        return sorted(found, key=lambda each: each["startDate"])

    def settled_releases(self, known: int, workload: str = TOY) -> list[dict[str, Any]]:
        """The releases beyond the first ``known``, once there is one and none runs any more."""

        def finished() -> list[dict[str, Any]] | None:
            new = self.executions("release", workload)[known:]
            running = any(each["status"] == "RUNNING" for each in new)
            return new if new and not running else None

        return wait_for(finished, "a release to end", 240)

    def packages(self, workload: str = TOY) -> list[str]:
        """ARNs of the workload's model packages, oldest first."""
        found = self.client("sagemaker").list_model_packages(
            ModelPackageGroupName=f"millrace-local-{workload}", SortBy="CreationTime", SortOrder="Ascending"
        )["ModelPackageSummaryList"]
        return [
            each["ModelPackageArn"] for each in sorted(found, key=lambda each: each["ModelPackageVersion"])
        ]

    def approve(self, package: str) -> None:
        self.client("sagemaker").update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")


def reply(status: int, headers: dict[str, str], body: bytes) -> Reply:
    try:
        return Reply(status, headers, json.loads(body))
    except ValueError:
        return Reply(status, headers, body.decode(errors="replace"))


def wait_for(look: Callable[[], T | None], what: str, seconds: float) -> T:
    """What ``look`` finds, tried until it is something; fails after ``seconds``."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = look()
        if found is not None:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


@contextmanager
def caller(world: World, url: str, body: Any, token: str) -> Iterator[list[Reply]]:
    """Someone who calls the API all the while; gives the list of the answers."""
    replies: list[Reply] = []
    over = threading.Event()

    def call() -> None:
        while not over.is_set() and len(replies) < 5000:
            replies.append(world.call("POST", url, body, token))
            time.sleep(0.1)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        yield replies
    finally:
        over.set()
        thread.join(timeout=60)
