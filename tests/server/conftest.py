from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions.tiny_bundle import make_bundle

from .running import Running, running


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Running]:
    with running(str(folder)) as process:
        yield process
