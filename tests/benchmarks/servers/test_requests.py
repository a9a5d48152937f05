"""Every server is asked the same, and judged by what the model itself says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.servers.peer import MILLRACE_SERVER, PEERS, RAW
from benchmarks.servers.peers.bundled import Scorer
from benchmarks.servers.requests import (
    JSON_CASES,
    MANY,
    OPEN_INFERENCE,
    Asked,
    Case,
    Rows,
    WrongAnswerError,
)
from benchmarks.servers.rows import Known, known, work_out
from tests.functions.tiny_bundle import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("servers") / "bundle")


@pytest.fixture(scope="module")
def rows(bundle: Path) -> dict[int, Rows]:
    return work_out(bundle).rows


def sent(asked: Asked) -> Any:
    return json.loads(asked.request.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("count", [1, MANY])
def test_what_the_peers_share_gives_the_models_own_probabilities(
    bundle: Path, rows: dict[int, Rows], count: int
) -> None:
    scorer, asked = Scorer(bundle), RAW.json.asked("parcels", rows[count])
    records = sent(asked)["records"]
    assert len(records) == count
    asked.check(json.dumps({"probabilities": scorer.score(records).tolist()}).encode())


def test_an_encoded_row_is_what_the_peers_make_of_the_record(bundle: Path, rows: dict[int, Rows]) -> None:
    scorer, some = Scorer(bundle), rows[MANY]
    assert scorer.rows(some.records).tobytes() == some.encoded
    tensor = sent(OPEN_INFERENCE.asked("parcels", some))["inputs"][0]
    assert np.array(tensor["data"], np.float32).reshape(tensor["shape"]).tobytes() == some.encoded
    assert tensor["shape"] == [MANY, scorer.columns]


def test_what_is_missing_or_unknown_is_encoded_as_the_model_wants_it(bundle: Path) -> None:
    found = Scorer(bundle).rows([{"depot": "west", "weight": None, "distance": 5}])
    assert np.array_equal(found, np.array([[np.nan, 5, 0, 0]], np.float32), equal_nan=True)


def answers(rows: Rows) -> dict[str, bytes]:
    """What each peer would answer, by its key."""
    found = rows.probabilities
    bare = json.dumps({"probabilities": found}).encode()
    tensors = json.dumps({"outputs": [{"name": "probability", "data": found}]}).encode()
    named = json.dumps({"predictions": [{"probability": one} for one in found]}).encode()
    known = {
        "kserve": tensors,
        "mlserver": tensors,
        "millrace": named,
        "mlflow": json.dumps({"predictions": found}).encode(),
    }
    return {peer.key: known.get(peer.key, bare) for peer in PEERS}


@pytest.mark.parametrize("peer", PEERS, ids=[peer.key for peer in PEERS])
def test_a_right_answer_of_every_peer_is_read_and_a_wrong_one_refused(
    peer: Any, rows: dict[int, Rows]
) -> None:
    asked, right = peer.json.asked("parcels", rows[MANY]), answers(rows[MANY])[peer.key]
    asked.check(right)
    elsewhere = replace(asked, expected=[value + 2e-5 for value in asked.expected])
    with pytest.raises(WrongAnswerError, match="off by up to 2e-05"):
        elsewhere.check(right)
    with pytest.raises(WrongAnswerError, match="cannot read the answer"):
        asked.check(b'{"error": "no"}')


@pytest.mark.parametrize("peer", [RAW, MILLRACE_SERVER], ids=["raw", "millrace"])
def test_a_binary_answer_is_float32(peer: Any, rows: dict[int, Rows]) -> None:
    asked = peer.dialect(Case(MANY, 1, "binary")).asked("parcels", rows[MANY])
    asked.check(np.array(rows[MANY].probabilities, "<f4").tobytes())
    with pytest.raises(WrongAnswerError, match="63 probabilities for 64 records"):
        asked.check(np.zeros(63, "<f4").tobytes())


def test_no_number_is_no_right_answer(rows: dict[int, Rows]) -> None:
    asked = RAW.json.asked("parcels", rows[1])
    with pytest.raises(WrongAnswerError, match="off by up to nan"):
        asked.check(b'{"probabilities": [NaN]}')


def test_a_request_names_the_model_and_where_it_is_long(rows: dict[int, Rows]) -> None:
    assert MILLRACE_SERVER.json.asked("parcels", rows[1]).request.startswith(
        b"POST /v1/models/parcels/predict HTTP/1.1\r\n"
    )


def test_every_size_is_asked_with_one_connection_and_with_eight() -> None:
    assert {(case.records, case.connections) for case in JSON_CASES} == {(1, 1), (1, 8), (64, 1), (64, 8)}
    assert str(JSON_CASES[0]) == "1 record, JSON, 1 connection"


def test_what_a_process_of_its_own_works_out_is_the_same(bundle: Path, rows: dict[int, Rows]) -> None:
    assert known(bundle) == Known("parcels", rows)


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="name the folder of a bundle"):
        work_out(tmp_path)
