"""Two that speak the protocol about one bundle: the function behind its API, and the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contract.load import workload
from functions.predict.routes import Service
from tests.functions.conftest import serve
from tests.functions.gateway import event, read, records
from tests.functions.tiny_bundle import Tiny, make_bundle, tiny_of
from tests.server.running import running

from .gateway import gateway

Record = dict[str, Any]


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """A model of the flights' contract."""
    return tiny_of(workload("flights"), ("UA", "EWR", "IAH", "Tue", "BOEING"))


@pytest.fixture(scope="session")
def layer(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the bundle."""
    root = tmp_path_factory.mktemp("layer")
    make_bundle(root / "bundle", tiny)
    return root


@pytest.fixture(scope="session")
def service(layer: Path) -> Service:
    return serve(layer, "flights")


@pytest.fixture(scope="session")
def function_url(service: Service) -> Iterator[str]:
    with gateway(service) as url:
        yield url


@pytest.fixture(scope="session")
def server_url(layer: Path) -> Iterator[str]:
    with running(str(layer / "bundle")) as process:
        yield f"http://127.0.0.1:{process.port}"


@pytest.fixture(scope="session", params=["function", "server"])
def url(request: pytest.FixtureRequest) -> str:
    """Where either of the two answers."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
def each(tiny: Tiny) -> Sequence[Record]:
    """Records with all there can be in them: missing values, texts never seen, numbers out of bounds."""
    first = dict(tiny.examples[0])
    return [*map(dict, tiny.examples), first | {"temp": None, "carrier": "??"}, first | {"distance": 99_999}]


@pytest.fixture(scope="session")
def expected(service: Service, each: Sequence[Record]) -> list[Record]:
    """What the API's own route answers to these records."""
    answer = read(service.answer(event(records(*each), model="flights"), None))
    return list(answer["predictions"])
