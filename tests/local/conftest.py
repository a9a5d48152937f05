"""An emulator of the tests' own, on a free port, with a folder of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from local import environment
from local.executors.container import free_port


def connect(running: environment.Running, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=running.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def eventually(look: Callable[[], Any], seconds: float = 90) -> Any:
    """The first true answer of ``look``. The limit is far beyond what a busy machine needs."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing came within {seconds} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[environment.Running]:
    running = environment.start("local", port=free_port(), root=tmp_path_factory.mktemp("emulator"))
    yield running
    environment.stop(running)


@pytest.fixture(scope="session")
def aws(emulator: environment.Running) -> Callable[[str], Any]:
    """A function from a service's name to a client of the emulator."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = connect(emulator, service)
        return made[service]

    return client


@pytest.fixture(scope="session")
def bucket(aws: Callable[[str], Any]) -> str:
    aws("s3").create_bucket(Bucket="lake")
    return "lake"


@pytest.fixture
def upload(aws: Callable[[str], Any], bucket: str) -> Callable[[str, str], str]:
    """A function that stores a text under a key and returns its address."""

    def put(key: str, text: str) -> str:
        aws("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())
        return f"s3://{bucket}/{key}"

    return put


@pytest.fixture
def read(aws: Callable[[str], Any], bucket: str) -> Callable[[str], bytes]:
    def get(key: str) -> bytes:
        return bytes(aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    return get
