"""What a deployment tells the function, read at start: a bad deployment fails there and not at a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Credentials:
    """Of the function's role. Lambda renews them with the process, never within it."""

    key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which endpoint answers, where it is called, and as whom."""

    environment: str
    endpoint: str
    workload: str
    url: str
    """SageMaker's runtime, such as ``https://runtime.sagemaker.us-east-1.amazonaws.com``."""
    region: str
    credentials: Credentials

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment's variables. Raises ``KeyError`` that names a missing one."""
        return cls(
            environment=environment["MILLRACE_ENVIRONMENT"],
            endpoint=environment["MILLRACE_ENDPOINT"],
            workload=environment["MILLRACE_WORKLOAD"],
            url=environment["MILLRACE_RUNTIME_URL"],
            region=environment["AWS_REGION"],
            credentials=Credentials(
                environment["AWS_ACCESS_KEY_ID"],
                environment["AWS_SECRET_ACCESS_KEY"],
                environment.get("AWS_SESSION_TOKEN", ""),
            ),
        )
