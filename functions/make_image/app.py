"""Entry point of the function. CloudFormation calls it when the server's image is to be another one."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from aws_lambda_powertools import Logger

from .errors import BuildError
from .image import Wanted, build, find

Event = dict[str, Any]

logger = Logger(service="make-image")


@logger.inject_lambda_context
def handler(event: Event, context: Any) -> None:
    """Have the image for a Create or an Update, and always answer: an unanswered stack waits in vain.

    Deleting does nothing: the repository's own rules end old images.
    """
    try:
        digest = "" if event["RequestType"] == "Delete" else provide(event, context)
    except Exception as error:
        # Whatever it was, CloudFormation has to hear of it.
        logger.exception("the image could not be built")
        answer(event, "FAILED", f"The server's image: {type(error).__name__}: {error}", {})
    else:
        answer(event, "SUCCESS", "", {"Digest": digest})


def provide(event: Event, context: Any) -> str:
    """Return the image's digest, once it is there. Raises ``BuildError``."""
    import boto3  # noqa: PLC0415 it is slow to import, and the runtime carries it

    wanted, registry = Wanted.parse(event["ResourceProperties"]), boto3.client("ecr")
    digest = find(registry, wanted)
    if digest is None:
        left = context.get_remaining_time_in_millis
        build(boto3.client("codebuild"), wanted, event["RequestId"], left)
        digest = find(registry, wanted)
    if digest is None:
        raise BuildError(f"the build succeeded, but {wanted.name} is not in the registry; build it again")
    return digest


def answer(event: Event, status: str, reason: str, data: dict[str, str]) -> None:
    """Tell CloudFormation how it went, at the address that it gave."""
    body = {
        "Status": status,
        "Reason": reason[:1000],
        "PhysicalResourceId": _identity(event),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    url = event["ResponseURL"]
    if not url.startswith(("https://", "http://127.0.0.1:")):
        raise ValueError(f"ResponseURL is no address of CloudFormation's: {url[:100]}")
    # The address is signed for a request without a content type.
    put = urllib.request.Request(  # noqa: S310 checked above
        url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(put, timeout=30):  # noqa: S310 checked above
        pass


def _identity(event: Event) -> str:
    """The image's name; of one to be deleted the name that CloudFormation gives."""
    if event["RequestType"] == "Delete":
        return str(event["PhysicalResourceId"])
    return Wanted.parse(event["ResourceProperties"]).name
