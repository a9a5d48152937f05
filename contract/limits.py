"""The largest request and answer that pass on their way: what a contract may promise its callers.

Whatever answers on AWS, a Lambda function takes the request and gives the answer, the predict function or
the one before an endpoint, and a call of it carries 6 MiB each way; API Gateway's 10 MB and an endpoint's own
limit are wider. Source: the AWS Lambda Developer Guide, "Lambda quotas".
"""

from __future__ import annotations

import json
from bisect import bisect_right

CARRIED = 6 * 1024 * 1024
AROUND = 64 * 1024
"""Bytes left for what goes with a body: an event has each header twice, and API Gateway takes 10 kB of them.
"""
MOST_BODY_BYTES = (CARRIED - AROUND) // 2
"""JSON travels as a text within JSON, where a quote or a line's end takes two bytes; base64 takes less."""
LONGEST_PROBABILITY = 1.2345678901234567e-300
LONGEST_ID = "0" * 36
"""API Gateway's ids of requests are UUIDs."""


def answer_bytes(positive: str, negative: str, records: int) -> int:
    """The most bytes of an answer to ``records`` records without warnings, as the function gives it.

    The form that takes the most is JSON, record by record.
    """
    return AROUND + records * max(_record_bytes(decision, records) for decision in (positive, negative))


def most_records(positive: str, negative: str) -> int:
    """The most records whose answer, where there are no warnings, is carried."""
    return (
        bisect_right(range(CARRIED), CARRIED, key=lambda count: answer_bytes(positive, negative, count)) - 1
    )


def _record_bytes(decision: str, records: int) -> int:
    record = {
        "id": f"{LONGEST_ID}-{records}",
        "probability": LONGEST_PROBABILITY,
        "decision": decision,
        "warnings": [],
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    # Some of Lambda's runtimes write what is not ASCII as escapes; the quotes around stand for the comma.
    return len(json.dumps(text)) - 1
