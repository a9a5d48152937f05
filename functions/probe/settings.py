"""What a deployment tells the function, read and checked when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where the APIs and their tokens are, and as whom to ask."""

    api_urls: tuple[str, ...]
    """Every API of the workload that has the route that predicts; at least one."""
    token_url: str
    user_pool: str
    client: str
    scope: str
    model: str
    signed: bool
    """Whether the APIs ask for a signature and not for a token."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Read the ``PROBE_…`` variables. Raises ``KeyError`` that names a missing one.

        Without an API nothing could be checked: then it is a ``ValueError``.
        """
        api_urls = tuple(environment["PROBE_API_URLS"].split())
        if not api_urls:
            raise ValueError("PROBE_API_URLS names no API; deploy the release's stack again")
        return cls(
            api_urls=api_urls,
            token_url=environment["PROBE_TOKEN_URL"],
            user_pool=environment["PROBE_USER_POOL"],
            client=environment["PROBE_CLIENT"],
            scope=environment["PROBE_SCOPE"],
            model=environment["PROBE_MODEL"],
            signed=environment["PROBE_AUTH"] == "iam",
        )

    @property
    def urls(self) -> tuple[str, ...]:
        """The route that predicts, of each API."""
        return tuple(f"{url}/v1/models/{self.model}/predict" for url in self.api_urls)
