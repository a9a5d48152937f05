"""What a deployment tells the function, read and checked when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the API and its tokens are, and as whom to ask."""

    api_url: str
    token_url: str
    user_pool: str
    client: str
    scope: str
    model: str
    signed: bool
    """Whether the API asks for a signature and not for a token."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the ``PROBE_…`` variables. Raises ``KeyError`` that names a missing one."""
        return cls(
            api_url=environment["PROBE_API_URL"],
            token_url=environment["PROBE_TOKEN_URL"],
            user_pool=environment["PROBE_USER_POOL"],
            client=environment["PROBE_CLIENT"],
            scope=environment["PROBE_SCOPE"],
            model=environment["PROBE_MODEL"],
            signed=environment["PROBE_AUTH"] == "iam",
        )

    @property
    def url(self) -> str:
        """The route that predicts."""
        return f"{self.api_url}/v1/models/{self.model}/predict"
