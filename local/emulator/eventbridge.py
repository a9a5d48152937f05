"""Events that AWS's services put on the default bus."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import eventbridge

from local.hooks import expect

_put_events = expect(eventbridge, "_put_events", ("data", "allow_aws_source"))


def publish(source: str, kind: str, resources: list[str], detail: dict[str, Any]) -> None:
    """Put an event of an AWS service, such as ``aws.sagemaker``, on the default bus."""
    entry = {
        "Source": source,
        "DetailType": kind,
        "Resources": resources,
        "Detail": json.dumps(detail, default=str),
    }
    _put_events({"Entries": [entry]}, allow_aws_source=True)
