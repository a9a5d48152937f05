"""What benchmarks need of a deployed environment, through the command's own code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cli.api import access_token
from cli.errors import CliError
from cli.outputs import outputs
from cli.session import Session, session


@dataclass(frozen=True)
class Environment:
    """The environment `local` and one workload of it, with a released model."""

    workload: str

    @cached_property
    def session(self) -> Session:
        """The command's session."""
        return session("local", self.workload)

    @cached_property
    def names(self) -> dict[str, str]:
        """Outputs of the stacks. Raises `CliError` where the function answers no callers."""
        if not self.session.settings.function_answers:
            remedy = 'add "lambda" to serving.targets in environments/local.toml, then: millrace up'
            raise CliError("the function has no API to measure", "the environment local", remedy)
        return outputs(self.session, ("api_url", "function"))

    @property
    def api_url(self) -> str:
        """The API's URL, without a trailing slash."""
        return self.names["api_url"]

    @property
    def region(self) -> str:
        """The region's name."""
        return self.session.settings.region or "us-east-1"

    def client(self, service: str) -> Any:
        """A boto3 client."""
        return self.session.client(service)

    def api_id(self) -> str:
        """The REST API's id: on the laptop it stands in the URL's path."""
        return self.api_url.split("/restapis/")[1].split("/")[0]

    def function(self) -> dict[str, Any]:
        """Configuration of the predict function."""
        described: dict[str, Any] = self.client("lambda").get_function_configuration(
            FunctionName=self.names["function"]
        )
        return described

    def token(self) -> str:
        """An access token, as the Authorization header wants it."""
        return f"Bearer {access_token(self.session, self.names)}"

    def example(self) -> dict[str, Any]:
        """The contract's first example."""
        return dict(self.session.contract.examples[0])
