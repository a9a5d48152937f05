from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.predict.routes import Service
from functions.predict.settings import Settings
from infra.kernel import install

from .tiny_bundle import Tiny, make_bundle

Ask = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """The reader of requests is this source's, whenever `make setup` ran last."""
    assert list(install()) != []


def serve(root: Path, workload: str = "parcels") -> Service:
    environment = {
        "LAMBDA_LAYER_ROOT": str(root),
        "MILLRACE_ENVIRONMENT": "test",
        "MILLRACE_WORKLOAD": workload,
    }
    return Service.start(Settings.read(environment))


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Service:
    root = tmp_path_factory.mktemp("layer")
    make_bundle(root / "bundle", tiny)
    return serve(root)


@pytest.fixture(scope="session")
def ask(service: Service) -> Ask:
    return lambda event: service.answer(event, None)
