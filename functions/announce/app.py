"""Entry point of the function. CloudFormation calls it when the predict function was made or has changed.

The release runs on by itself: a deploy does not wait for it, and its failure is no failure of the deploy,
because callers keep the version that they had.
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

from aws_lambda_powertools import Logger

Event = dict[str, Any]

logger = Logger(service="announce")


@logger.inject_lambda_context
def handler(event: Event, _context: Any) -> None:
    """Start a release for a Create or an Update, and always answer: an unanswered stack waits for an hour."""
    try:
        if event["RequestType"] != "Delete":
            start_release(os.environ["RELEASE_MACHINE"], event["RequestId"])
    except Exception as error:
        # Whatever it was, CloudFormation has to hear of it.
        logger.exception("the release could not be started")
        answer(event, "FAILED", f"The release could not be started: {type(error).__name__}: {error}")
    else:
        answer(event, "SUCCESS", "")


def start_release(machine: str, request: str) -> None:
    """Start the state machine ``machine`` (ARN), once for each ``request``, however often it is delivered."""
    import boto3  # noqa: PLC0415 it is slow to import, and the runtime carries it

    states = boto3.client("stepfunctions")
    try:
        states.start_execution(
            stateMachineArn=machine, name=f"deploy-{request}", input=json.dumps({"reason": "deploy"})
        )
    except states.exceptions.ExecutionAlreadyExists:
        logger.info("the same request was delivered before", request=request)


def answer(event: Event, status: str, reason: str) -> None:
    """Tell CloudFormation how it went, at the address that it gave."""
    body = {
        "Status": status,
        "Reason": reason[:1000],
        "PhysicalResourceId": event.get("PhysicalResourceId", f"announce-{event['LogicalResourceId']}"),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    url = event["ResponseURL"]
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise ValueError(f"ResponseURL is no address of CloudFormation's: {url[:100]}")
    # The address is signed for a request without a content type.
    put = urllib.request.Request(  # noqa: S310 checked above
        url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(put, timeout=30):  # noqa: S310 checked above
        pass
