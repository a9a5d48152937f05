"""Functions find their layers, name their errors, and are logged and measured without being slowed."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.local.conftest import eventually

AWS = Callable[[str], Any]

HANDLER = """
import json, os, pathlib
class LabelError(Exception):
    pass
def handler(event, context):
    if event.get("raise"):
        raise LabelError("no such label")
    root = pathlib.Path(os.environ.get("LAMBDA_LAYER_ROOT", "/opt"))
    if event.get("measure"):
        metric = {"Namespace": "Tests", "Dimensions": [["model"]], "Metrics": [{"Name": "Rows"}]}
        line = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [metric]}, "model": event["measure"], "Rows": 3}
        os.write(1, json.dumps(line).encode() + b"\\n")
    if event.get("say"):
        print(event["say"])
    found = {str(file.relative_to(root)): file.read_text() for file in root.rglob("*.txt")}
    return {"layer": found, "arn": context.invoked_function_arn}
"""


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for name, text in files.items():
            pack.writestr(name, text)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def function(aws: AWS) -> str:
    """A function with two layers and an alias ``live``."""
    name = f"function-{uuid.uuid4().hex[:8]}"
    layers = [
        aws("lambda").publish_layer_version(
            LayerName=f"{name}-{index}", Content={"ZipFile": archive({f"bundle/{index}.txt": str(index)})}
        )["LayerVersionArn"]
        for index in (1, 2)
    ]
    aws("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/function",
        Handler="app.handler",
        Code={"ZipFile": archive({"app.py": HANDLER})},
        Layers=layers,
        Publish=True,
    )
    aws("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    return name


@pytest.fixture
def invoke(aws: AWS, function: str) -> Callable[..., Any]:
    def call(event: dict[str, Any]) -> Any:
        answer = aws("lambda").invoke(FunctionName=f"{function}:live", Payload=json.dumps(event))
        return json.loads(answer["Payload"].read())

    return call


def said(aws: AWS, function: str) -> list[str]:
    found = aws("logs").filter_log_events(logGroupName=f"/aws/lambda/{function}")["events"]
    return [event["message"] for event in found]


def test_given_two_layers_when_invoked_then_their_files_are_in_one_folder(
    invoke: Callable[..., Any],
) -> None:
    assert invoke({})["layer"] == {"bundle/1.txt": "1", "bundle/2.txt": "2"}


def test_given_a_handler_that_raises_when_invoked_then_the_class_is_named(
    invoke: Callable[..., Any],
) -> None:
    answer = invoke({"raise": True})

    assert (answer["errorType"], answer["errorMessage"]) == ("LabelError", "no such label")


def test_given_lines_on_standard_output_when_invoked_then_each_is_logged_with_its_invocation(
    aws: AWS, function: str, invoke: Callable[..., Any]
) -> None:
    for text in ("first", "second"):
        invoke({"say": text})

        assert text in said(aws, function)


def test_given_an_embedded_metric_when_invoked_then_cloudwatch_has_it(
    aws: AWS, invoke: Callable[..., Any]
) -> None:
    model = uuid.uuid4().hex

    answer = invoke({"measure": model})

    assert "layer" in answer
    found = eventually(lambda: statistics(aws, "Tests", "Rows", {"model": model}))
    assert found[0]["Sum"] == 3


def test_given_calls_by_alias_when_measured_then_the_alias_has_its_own_metric(
    aws: AWS, function: str, invoke: Callable[..., Any]
) -> None:
    invoke({})

    dimensions = {"FunctionName": function, "Resource": f"{function}:live"}
    found = eventually(lambda: statistics(aws, "AWS/Lambda", "Invocations", dimensions))
    assert sum(point["Sum"] for point in found) >= 1


def test_given_a_silent_handler_when_warm_then_nothing_waits_for_its_log(invoke: Callable[..., Any]) -> None:
    invoke({})

    # One that is quicker than the wait proves that there is none, however slow the machine is otherwise.
    assert any(seconds(invoke) < 0.05 for _ in range(300)), "MiniStack's own wait of 50 ms is back"


def seconds(invoke: Callable[..., Any]) -> float:
    started = time.perf_counter()
    invoke({})
    return time.perf_counter() - started


def statistics(aws: AWS, namespace: str, metric: str, dimensions: dict[str, str]) -> list[dict[str, Any]]:
    now = time.time()
    found = aws("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - 600,
        EndTime=now + 60,
        Period=60,
        Statistics=["Sum"],
    )
    return list(found["Datapoints"])
