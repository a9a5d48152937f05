"""An image by its tag: looked up where it was built before, built where it was not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import BuildError

PAUSE_SECONDS = 5.0
RESERVE_MS = 30_000
"""What is left of the function's time to say that the build has not ended."""

Client = Any
"""One of boto3's clients."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The image ``repository:tag``, which ``project`` builds. A tag is made once: it names what is in it."""

    project: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, properties: dict[str, Any]) -> Wanted:
        """Read a custom resource's properties. Raises ``KeyError`` that names a missing one."""
        return cls(project=properties["Project"], repository=properties["Repository"], tag=properties["Tag"])

    @property
    def name(self) -> str:
        """What CloudFormation knows the image by: another tag is another image."""
        return f"{self.repository}:{self.tag}"


def find(registry: Client, wanted: Wanted) -> str | None:
    """Return the image's digest ("sha256:…"), or None where it was never built."""
    try:
        found = registry.describe_images(
            repositoryName=wanted.repository, imageIds=[{"imageTag": wanted.tag}]
        )
    except registry.exceptions.ImageNotFoundException:
        return None
    return str(found["imageDetails"][0]["imageDigest"])


def build(builds: Client, wanted: Wanted, request: str, milliseconds_left: Callable[[], int]) -> None:
    """Build and push the image, once for each ``request``. Raises ``BuildError``."""
    started = builds.start_build(
        projectName=wanted.project,
        # Delivered twice, a request starts one build.
        idempotencyToken=request,
        environmentVariablesOverride=[{"name": "TAG", "value": wanted.tag, "type": "PLAINTEXT"}],
    )
    build = started["build"]
    while build["buildStatus"] == "IN_PROGRESS":
        if milliseconds_left() < RESERVE_MS:
            raise BuildError(f"the build {build['id']} has not ended in time; {_where(build)}")
        time.sleep(PAUSE_SECONDS)
        (build,) = builds.batch_get_builds(ids=[build["id"]])["builds"]
    if build["buildStatus"] != "SUCCEEDED":
        raise BuildError(
            f"the build {build['id']} ended {build['buildStatus']}: {_why(build)}; {_where(build)}"
        )


def _why(build: dict[str, Any]) -> str:
    """What the phases say that did not end well."""
    said = [
        f"{phase['phaseType']}: {context['message']}"
        for phase in build.get("phases", ())
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts", ())
        if context.get("message")
    ]
    return "; ".join(said) or "no phase says why"


def _where(build: dict[str, Any]) -> str:
    logs = build.get("logs", {})
    return f"read the log group {logs.get('groupName')}, stream {logs.get('streamName')}"
