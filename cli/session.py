"""Where a command works: one environment, one workload of it, and the AWS clients to reach them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from infra import settings

if TYPE_CHECKING:
    import boto3

    from contract.schema import Contract

DEFAULT = "local"
LOCAL_KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
LOCAL_REGION = "us-east-1"
REGION = "AWS_REGION"
"""The variable that names the region to AWS's own command line and to the CDK; boto3 reads another alone."""


def chosen(env: str | None) -> str:
    """Give the name of the environment: what was asked for, else MILLRACE_ENV, else ``local``."""
    return env or os.environ.get("MILLRACE_ENV") or DEFAULT


def only(workloads: tuple[str, ...], asked: str | None, env: str) -> str:
    """Give the workload asked for, or the environment's only one.

    Raises `CliError` where the environment lacks it, or has several and none was named.
    """
    where = f"the environment {env}"
    if asked is None and len(workloads) == 1:
        return workloads[0]
    if asked is None:
        remedy = f"choose one with --workload: {', '.join(workloads)}"
        raise CliError("it has several workloads and none was named", where, remedy)
    if asked not in workloads:
        remedy = f"choose one of {', '.join(workloads)}, or add it to environments/{env}.toml and deploy"
        raise CliError(f"there is no workload {asked!r}", where, remedy)
    return asked


@dataclass(frozen=True)
class Session:
    """An environment's settings, the workload in question, and clients made when first needed."""

    settings: settings.Settings
    workload: str

    @cached_property
    def aws(self) -> boto3.Session:
        """The boto3 session: the laptop's own keys for `local`, else the caller's credentials."""
        import boto3  # noqa: PLC0415 - help does without it

        if self.settings.local:
            return boto3.Session(region_name=self.settings.region or LOCAL_REGION, **LOCAL_KEYS)
        # None leaves it to boto3: AWS_DEFAULT_REGION, then the profile.
        return boto3.Session(region_name=self.settings.region or os.environ.get(REGION) or None)

    @cached_property
    def made(self) -> dict[str, Any]:
        """Clients made so far, by service."""
        return {}

    def client(self, service: str) -> Any:
        """Give the client of ``service``; on the laptop it fails at once where nothing listens."""
        if service not in self.made:
            from botocore.config import Config  # noqa: PLC0415 - help does without it

            patience = Config(
                connect_timeout=5, retries={"mode": "standard", "total_max_attempts": 1 if self.local else 5}
            )
            self.made[service] = self.aws.client(
                service, endpoint_url=self.settings.emulator, config=patience
            )
        return self.made[service]

    @property
    def env(self) -> str:
        """Name of the environment."""
        return self.settings.env

    @property
    def local(self) -> bool:
        """Whether the environment lives on this machine."""
        return self.settings.local

    @property
    def env_flag(self) -> str:
        """What chooses the same environment again, in any shell; empty where nothing is needed."""
        return "" if self.env == chosen(None) == DEFAULT else f" --env {self.env}"

    @property
    def flags(self) -> str:
        """What chooses the same environment and workload again; empty where both are defaults."""
        env = self.env_flag
        return env if len(self.settings.workloads) == 1 else f"{env} --workload {self.workload}"

    @cached_property
    def contract(self) -> Contract:
        """The workload's contract."""
        from contract.load import workload  # noqa: PLC0415 - most commands do without it

        return workload(self.workload)


def session(env: str | None, workload: str | None = None, *, any_workload: bool = False) -> Session:
    """Open the environment ``env`` and choose its ``workload``; ``any_workload`` where it does not matter.

    Raises `CliError` for an unknown workload, `SettingsError` for an unknown environment or a slip
    in its file.
    """
    name = chosen(env)
    loaded = settings.load(name)
    if any_workload and workload is None:
        return Session(loaded, loaded.workloads[0])
    return Session(loaded, only(loaded.workloads, workload, name))
