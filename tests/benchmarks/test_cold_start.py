"""The rivals of the cold start do what the function does; and what the page says of a run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.cold_start import Start, section
from benchmarks.events import predict_event, read_manifest
from functions.predict.routes import Service
from functions.predict.settings import Settings
from tests.functions.tiny_bundle import make_bundle


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layer")
    make_bundle(folder / "bundle")
    return folder


@pytest.fixture(scope="module")
def rival(layer: Path) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMBDA_LAYER_ROOT", str(layer))
        return importlib.import_module("benchmarks.rival.bare")


def predictions(answer: dict[str, Any]) -> list[tuple[str, float, str, list[str]]]:
    assert answer["statusCode"] == 200
    return [
        (one["id"], round(one["probability"], 6), one["decision"], [w["field"] for w in one["warnings"]])
        for one in json.loads(answer["body"])["predictions"]
    ]


@pytest.mark.parametrize("size", [1, 5])
def test_the_rival_answers_what_the_function_answers(layer: Path, rival: ModuleType, size: int) -> None:
    event = predict_event(read_manifest(layer / "bundle"), size)
    settings = Settings.read({"LAMBDA_LAYER_ROOT": str(layer), "MILLRACE_WORKLOAD": "parcels"})
    service = Service.start(settings, lambda _line: 0)

    assert predictions(rival.handler(event, None)) == predictions(service.answer(event, None))


def test_the_rival_refuses_what_breaks_the_contract(layer: Path, rival: ModuleType) -> None:
    event = predict_event(read_manifest(layer / "bundle"), 1)
    event["body"] = json.dumps({"records": [{"depot": 7, "odd": 1}]})

    answer = rival.handler(event, None)

    assert answer["statusCode"] == 400
    assert len(json.loads(answer["body"])["errors"]) == 3  # depot's kind, odd, distance


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name the folder of a bundle"):
        read_manifest(tmp_path)


def test_the_bar_is_kept_or_missed_by_the_share_of_each_round() -> None:
    starts = {
        "predict": [Start(50, 2), Start(100, 2)],
        "bare": [Start(100, 2), Start(200, 2)],
        "equipped": [Start(150, 2), Start(300, 2)],
    }

    found = section(starts)

    assert [row[1] for row in found.rows] == ["0.50 (0.50–0.50)", "1.00 (1.00–1.00)", "1.50 (1.50–1.50)"]
    limits = [bar.limit for bar in found.charts[0].bars]
    assert [limit is not None and limit.value for limit in limits] == [0.75, False, False, 0.75]
