"""Settings of one environment: typed defaults, and what ``environments/<env>.toml`` changes.

They are read and checked before the first resource is made, so that a slip in a file is an
error that names the file and the key, never a stack that half deploys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import re
import sys
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from infra import images

ENVIRONMENTS = Path(__file__).parents[1] / "environments"
ARCHITECTURES = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
TARGETS = ("lambda", "endpoint")
HOSTS = re.compile(
    r"ml\.(?:(?:c6g|c7g|m6g)\.(?:large|(?:|2|4|8|12|16)xlarge)"
    r"|(?:c8g|m8g)\.(?:medium|large|(?:|2|4|8|12|16|24|48)xlarge))"
)
"""SageMaker's hosts with the image's processor, arm64, and without disks of their own. There is no m7g."""
HOSTED_LENGTH = 50
"""SageMaker's names have 63 characters at most, of which a release's part takes 13."""
LOG_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
"""Retention periods that CloudWatch Logs accepts."""

Bound = tuple[str, bool, str, str]
"""Key, whether its value holds, what is wrong otherwise, and what to do then."""


class SettingsError(ValueError):
    """A setting that cannot be used: which file, which key, what is wrong, what to do."""

    def __init__(self, file: Path | str, key: str, problem: str, remedy: str) -> None:
        super().__init__(f"{file}: {key}: {problem}. {remedy}")
        self.file, self.key, self.problem, self.remedy = file, key, problem, remedy


@dataclass(frozen=True, kw_only=True)
class Glue:
    """Preprocessing: a Spark cluster of ``workers`` × ``worker`` (one of them drives)."""

    worker: Literal["G.1X", "G.2X", "G.4X", "G.8X"] = "G.1X"
    workers: int = 2
    minutes: int = 60
    """Time after which a run is stopped."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training job: ``instances`` hosts of one type; ``spot`` uses spare capacity and resumes."""

    instance: str = "ml.m6i.xlarge"
    instances: int = 1
    volume_gb: int = 30
    minutes: int = 120
    spot: bool = False


@dataclass(frozen=True, kw_only=True)
class Packaging:
    """The processing job that exports, evaluates and gates the model."""

    instance: str = "ml.m6i.xlarge"
    volume_gb: int = 30
    minutes: int = 60


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The predict function, the APIs, and what answers there. ``host`` means: what this machine has."""

    python: str = "3.13"
    architecture: Literal["arm64", "x86_64", "host"] = "arm64"
    memory_mb: int = 1769
    """1769 MB is where Lambda gives one whole vCPU. Chosen from a measured curve: see docs/benchmarks.md."""
    timeout_seconds: int = 10
    snap_start: bool = False
    rate: int = 100
    """Requests a second that a stage admits in the long run."""
    burst: int = 200
    """Requests that a stage admits at once."""
    targets: tuple[str, ...] = ("lambda",)
    """What answers callers: the predict function (``lambda``), a SageMaker endpoint (``endpoint``), or both.

    The function is there in any case: a release checks a bundle on it before any host is touched.
    """


@dataclass(frozen=True, kw_only=True)
class Api:
    """How callers of the APIs prove who they are."""

    auth: Literal["token", "iam"] = "token"
    """A token of the environment's own client, or a signature (SigV4) of an IAM identity with a policy."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The SageMaker endpoint: ``instances`` hosts always, up to ``most`` under load."""

    instance: str = "ml.c7g.large"
    """Its processor is arm64: the image is built for that."""
    instances: int = 1
    """Two or more stand in two availability zones, and outlive the loss of one."""
    most: int = 4
    invocations_per_instance: int = 3000
    """Requests a minute for each host that scaling aims at."""
    canary_percent: int = 10
    """Share of the requests that a new model gets first."""
    canary_minutes: int = 5
    """How long the alarms watch it before it gets the rest."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where jobs and endpoints run: in AWS's own network, or in a private one of the environment's."""

    vpc: bool = False
    """A network of two private subnets without a way to the internet; its endpoints are paid by the hour."""


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What the operators are told about, and where."""

    email: str = ""
    latency_ms: int = 500
    """The 99th percentile of the API's latency above which an alarm rings."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that may differ from one environment to another."""

    env: str
    workloads: tuple[str, ...] = ("flights",)
    account: str | None = None
    region: str | None = None
    port: int | None = None
    """The emulator's port on 127.0.0.1; only environments on the laptop have one."""
    approval: Literal["automatic", "manual"] = "manual"
    retain: bool = False
    """Keep buckets, keys, tables and logs when their stack is deleted."""
    log_days: int = 30
    cloudwatch_role: bool = False
    """Let the stack set the account-wide role with which API Gateway writes logs."""
    glue: Glue = field(default_factory=Glue)
    training: Training = field(default_factory=Training)
    packaging: Packaging = field(default_factory=Packaging)
    serving: Serving = field(default_factory=Serving)
    api: Api = field(default_factory=Api)
    endpoint: Endpoint = field(default_factory=Endpoint)
    network: Network = field(default_factory=Network)
    alarms: Alarms = field(default_factory=Alarms)

    @property
    def emulator(self) -> str | None:
        """The emulator's URL, without a trailing slash; None on AWS."""
        return None if self.port is None else f"http://127.0.0.1:{self.port}"

    @property
    def function_answers(self) -> bool:
        """Whether callers reach the predict function."""
        return "lambda" in self.serving.targets

    @property
    def has_endpoint(self) -> bool:
        """Whether a SageMaker endpoint answers, beside the function or alone."""
        return "endpoint" in self.serving.targets

    @property
    def signed(self) -> bool:
        """Whether callers sign their requests; else they bring a token."""
        return self.api.auth == "iam"

    @property
    def local(self) -> bool:
        """Whether this environment lives on the laptop."""
        return self.port is not None

    def tags(self, workload: str | None = None) -> dict[str, str]:
        """Tags of everything that belongs to this environment, or to a ``workload`` of it."""
        return {
            "project": "millrace",
            "environment": self.env,
            **({"workload": workload} if workload else {}),
        }

    def stack(self, *parts: str) -> str:
        """Name of a stack: ``millrace-dev-foundation``, ``millrace-dev-flights-serving``."""
        return "-".join(("millrace", self.env, *parts))

    def name(self, workload: str, part: str = "") -> str:
        """Name of a workload's resource: ``millrace-dev-flights-predict``."""
        return self.stack(workload, part) if part else self.stack(workload)

    def hosted(self, workload: str) -> str:
        """What the names of an endpoint's models and configurations begin with, before a dash and 12 digits.

        The endpoint's own name, or as much of it as leaves room, and a digest of it.
        """
        name = self.name(workload)
        if len(name) <= HOSTED_LENGTH:
            return name
        return f"{name[: HOSTED_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    def parameter(self, workload: str, part: str) -> str:
        """Name of a workload's SSM parameter: ``/millrace/dev/flights/layer``."""
        return f"/millrace/{self.env}/{workload}/{part}"

    def logs(self, workload: str, part: str) -> str:
        """Name of a workload's log group: ``/millrace/dev/flights/predict``."""
        return self.parameter(workload, part)

    def database(self, workload: str) -> str:
        """Name of a workload's Glue database: ``millrace_dev_flights``."""
        return self.name(workload).replace("-", "_")


def load(env: str, folder: Path = ENVIRONMENTS) -> Settings:
    """Settings of the environment ``env``, read from ``folder/<env>.toml`` over the defaults.

    Raises ``SettingsError`` for an unknown environment, an unknown key, a wrong type or a value
    out of bounds. ``MILLRACE_PORT`` overrides the port of an environment that has one.
    """
    file = folder / f"{env}.toml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.toml"))) or "none"
        raise SettingsError(file, "env", f"there is no environment {env!r}", f"Choose one of: {known}.")
    settings = _build(Settings, {"env": env} | _read(file), file, "")
    settings = _on_this_host(settings, file)
    _check(settings, file)
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    # A date such as 2013-02-30 and what is no UTF-8 are plain ValueErrors.
    except ValueError as error:
        raise SettingsError(file, "syntax", str(error), "Write it as TOML, in UTF-8.") from error
    if "env" in values:
        raise SettingsError(file, "env", "the file's name says it already", "Remove the key.")
    return values


def _build(kind: Any, values: Mapping[str, Any], file: Path, prefix: str) -> Any:
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            raise SettingsError(file, prefix + key, "unknown key", f"Known keys: {', '.join(sorted(hints))}.")
    return kind(**{key: _value(hints[key], value, file, prefix + key) for key, value in values.items()})


def _value(hint: Any, value: Any, file: Path, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        _expect(isinstance(value, dict), file, key, value, "a table")
        return _build(hint, value, file, f"{key}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        _expect(value in arguments, file, key, value, " or ".join(map(repr, arguments)))
        return value
    if origin is tuple:
        strings = isinstance(value, list) and all(isinstance(item, str) for item in value)
        _expect(strings, file, key, value, "a list of strings")
        return tuple(value)
    accepted = arguments if origin is types.UnionType else (hint,)
    names = " or ".join(kind.__name__ for kind in accepted if kind is not types.NoneType)
    _expect(type(value) in accepted, file, key, value, f"of type {names}")
    return value


def _expect(holds: bool, file: Path, key: str, value: object, wanted: str) -> None:
    if not holds:
        raise SettingsError(file, key, f"{value!r} is not {wanted}", f"Write a value that is {wanted}.")


def _on_this_host(settings: Settings, file: Path) -> Settings:
    """Replace what refers to this machine: ``host`` as Python or architecture, and the port."""
    serving = settings.serving
    if serving.python == "host":
        serving = dataclasses.replace(serving, python=f"{sys.version_info.major}.{sys.version_info.minor}")
    if serving.architecture == "host":
        serving = dataclasses.replace(serving, architecture=_architecture(file))
    port = settings.port
    if port is not None and "MILLRACE_PORT" in os.environ:
        port = _port(os.environ["MILLRACE_PORT"])
    return dataclasses.replace(settings, serving=serving, port=port)


def _architecture(file: Path) -> Literal["arm64", "x86_64"]:
    machine = platform.machine().lower()
    if machine not in ARCHITECTURES:
        raise SettingsError(
            file, "serving.architecture", f"this host is a {machine}", "Name arm64 or x86_64 instead of host."
        )
    return typing.cast("Literal['arm64', 'x86_64']", ARCHITECTURES[machine])


def _port(text: str) -> int:
    if not (text.isdecimal() and len(text) <= 5):
        raise SettingsError(
            "environment variable", "MILLRACE_PORT", f"{text!r} is not a port", "Set a number."
        )
    return int(text)


def _check(settings: Settings, file: Path) -> None:
    """Bounds that types cannot express; each is what the service itself accepts."""
    for key, holds, problem, remedy in _bounds(settings):
        if not holds:
            raise SettingsError(file, key, problem, remedy)


def _bounds(settings: Settings) -> tuple[Bound, ...]:
    return (*_platform_bounds(settings), *_serving_bounds(settings), *_endpoint_bounds(settings.endpoint))


def _platform_bounds(settings: Settings) -> tuple[Bound, ...]:
    name, port = re.fullmatch("[a-z][a-z0-9]{1,15}", settings.env), settings.port
    return (
        ("env", bool(name), "not a usable name", "Take 2 to 16 lower-case letters and digits."),
        ("workloads", bool(settings.workloads), "no workload is named", "Name a folder of workloads/."),
        (
            "workloads",
            all(re.fullmatch("[a-z][a-z0-9-]{0,30}", workload) for workload in settings.workloads),
            f"one of {settings.workloads} cannot be part of a stack's name",
            "Take lower-case letters, digits and -, a letter first, at most 31 characters.",
        ),
        (
            "region",
            settings.region is None or settings.region in images.ACCOUNTS,
            f"AWS keeps no training image in {settings.region!r} that is known here",
            f"Take one of {', '.join(images.ACCOUNTS)}; for another, add its registry to infra/images.py.",
        ),
        ("port", port is None or 1024 <= port < 65536, "out of range", "Take 1024 to 65535."),
        ("log_days", settings.log_days in LOG_DAYS, "no such retention period", f"Take one of {LOG_DAYS}."),
        (
            "network.vpc",
            not (settings.local and settings.network.vpc),
            "the laptop has no network to make one in",
            "Leave the key out, and ask for it on AWS.",
        ),
        (
            "api.auth",
            not (settings.local and settings.api.auth == "iam"),
            "the emulator checks no signatures",
            "Leave it at token here.",
        ),
        ("glue.workers", settings.glue.workers >= 2, "too few", "Glue needs at least 2."),
        ("training.instances", settings.training.instances >= 1, "too few", "Take 1 or more."),
    )


def _serving_bounds(settings: Settings) -> tuple[Bound, ...]:
    serving = settings.serving
    runtime = settings.local or serving.python in PYTHONS
    snapshot = not serving.snap_start or serving.python != "3.11"
    return (
        ("serving.python", runtime, "no such runtime", f"Take one of {PYTHONS}."),
        ("serving.memory_mb", 128 <= serving.memory_mb <= 10240, "out of range", "Take 128 to 10240."),
        ("serving.timeout_seconds", 1 <= serving.timeout_seconds <= 29, "out of range", "Take 1 to 29."),
        ("serving.snap_start", snapshot, "not offered for Python 3.11", "Take Python 3.12 or later."),
        ("serving.burst", serving.burst >= serving.rate >= 1, "below the rate", "Take serving.rate or more."),
        *_target_bounds(serving.targets),
    )


def _target_bounds(targets: tuple[str, ...]) -> tuple[Bound, ...]:
    key = "serving.targets"
    strange = [target for target in targets if target not in TARGETS]
    return (
        (key, not strange, f"{', '.join(strange)} cannot answer here", f"Take some of {', '.join(TARGETS)}."),
        (key, bool(targets), "nothing would answer", f"Take some of {', '.join(TARGETS)}."),
        (key, len(set(targets)) == len(targets), "a name stands twice", "Name each once."),
    )


def _endpoint_bounds(endpoint: Endpoint) -> tuple[Bound, ...]:
    hosts, most, aim = endpoint.instances, endpoint.most, endpoint.invocations_per_instance
    return (
        (
            "endpoint.instance",
            HOSTS.fullmatch(endpoint.instance) is not None,
            f"{endpoint.instance!r} is no host with an arm64 processor, for which the image is built",
            "Take one of the families c6g, c7g, c8g, m6g, m8g, such as ml.c7g.large.",
        ),
        ("endpoint.instances", hosts >= 1, "too few", "Take 1 or more."),
        ("endpoint.most", most >= hosts, "below endpoint.instances", "Take endpoint.instances or more."),
        ("endpoint.invocations_per_instance", aim >= 1, "too few", "Take 1 or more."),
        # SageMaker takes a canary of at most half of the fleet.
        ("endpoint.canary_percent", 1 <= endpoint.canary_percent <= 50, "out of range", "Take 1 to 50."),
        ("endpoint.canary_minutes", 1 <= endpoint.canary_minutes <= 60, "out of range", "Take 1 to 60."),
    )
