"""The log: a line per request, metrics within it, and nothing of what a caller sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.predict.predictor import Predictor

from .conftest import Ask
from .gateway import PREDICT, event, records
from .tiny_bundle import PARCEL

MARKS = {"depot": "Xanadu", "region": "Shangri-La", "weight": 98765.4321, "distance": 87654.321}


def lines(captured: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.readouterr().out.splitlines()]


def test_a_request_writes_one_line_that_is_its_metrics(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    ask(event(records(PARCEL, PARCEL | {"weight": -1, "region": "moon"})))

    (line,) = lines(capsys)
    assert (line["request_id"], line["route"], line["status"]) == ("0a1b2c3d", PREDICT, 200)
    assert (line["Records"], line["Warnings"], line["version"]) == (2, 2, "run-1")
    assert line["Latency"] > 0
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Millrace"
    for name in [*directive["Dimensions"][0], *(metric["Name"] for metric in directive["Metrics"])]:
        assert name in line


@pytest.mark.parametrize(
    "record", [MARKS, {**MARKS, "Timbuktu": 1}, {**MARKS, "distance": "Eldorado"}, "Atlantis"]
)
def test_no_value_of_a_caller_is_logged(
    ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: Any
) -> None:
    capsys.readouterr()
    ask(event(records(record)))

    def fail(_: Any, __: Any, body: str, *___: Any, **____: Any) -> None:
        raise ValueError(f"cannot read {body}") from KeyError("Eldorado")

    monkeypatch.setattr(Predictor, "predict", fail)
    ask(event(records(record)))

    log = capsys.readouterr().out
    marks = ["Xanadu", "Shangri", "98765", "87654", "Timbuktu", "Eldorado", "Atlantis"]
    assert [mark for mark in marks if mark in log] == []


def test_an_unexpected_error_is_logged_with_its_place(
    ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "predict", lambda *_, **__: 1 / 0)
    capsys.readouterr()
    ask(event(records(PARCEL)))

    failure, request = lines(capsys)
    assert (failure["level"], failure["error"]) == ("ERROR", "ZeroDivisionError")
    assert failure["request_id"] == request["request_id"] == "0a1b2c3d"
    assert any("core.py" in frame for frame in failure["traceback"])
    assert request["status"] == 500
