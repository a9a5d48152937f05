"""The Open Inference Protocol: the same numbers as the API's own routes, and errors of its own form."""

from __future__ import annotations

import gzip
import json
import math
import tomllib
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.predict.routes import Service

from .conftest import serve
from .gateway import event as own_event
from .gateway import read, records
from .open_protocol import (
    INFER,
    INFER_VERSION,
    Answer,
    Record,
    as_bytes,
    ask,
    event,
    in_json,
    packed,
    tensor,
)
from .tiny_bundle import PARCEL, PARCELS, Input, Tiny, make_bundle

ROOT = Path(__file__).parents[2]
NUMBERS = {feature.name for feature in PARCELS if feature.kind == "number"}
ORDINARY: list[Record] = [
    PARCEL,
    {"depot": "south", "distance": 0},
    {"depot": "north", "distance": 4999.5, "weight": None, "region": None, "volume": None, "colour": None},
    {"depot": "south", "distance": 1, "weight": 3, "region": "plain", "volume": 9, "colour": "red"},
]
STRANGE: list[Record] = [*ORDINARY, PARCEL | {"weight": 150, "region": "moon"}]
HEALTH = ("/v2/health/live", "/v2/health/ready")
MODEL = "/v2/models/{model}"
READY = "/v2/models/{model}/ready"
VERSION = "/v2/models/{model}/versions/{version}"


def tensors(each: Sequence[Record], number: str = "FP32", shape: str = "n") -> list[dict[str, Any]]:
    """A tensor for each feature that any record has."""
    found = []
    for feature in PARCELS:
        if not any(feature.name in record for record in each):
            continue
        values = [record.get(feature.name) for record in each]
        form = [len(each)] if shape == "n" else [len(each), 1]
        if feature.kind == "number":
            missing = [math.nan if value is None else float(value) for value in values]
            found.append(tensor(feature.name, number, missing, form))
        else:
            found.append(tensor(feature.name, "BYTES", [value or "" for value in values], form))
    return found


def matrix(each: Sequence[Record]) -> dict[str, Any]:
    """All features in one tensor of texts."""
    texts = [
        "" if record.get(feature.name) is None else str(record[feature.name])
        for record in each
        for feature in PARCELS
    ]
    return tensor("rows", "BYTES", texts, [len(each), len(PARCELS)])


def expected(service: Service, each: Sequence[Record]) -> list[dict[str, Any]]:
    """What the API's own route answers for the same records."""
    answer = read(service.answer(own_event(records(*each)), None))
    return list(answer["predictions"])


def get(service: Service, resource: str, method: str = "GET", **parameters: str) -> Answer:
    parameters = parameters or ({"model": "parcels"} if "{model}" in resource else {})
    return Answer(service.answer(event(resource, method=method, parameters=parameters), None))


# ---- the same numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("each", [[PARCEL], ORDINARY, STRANGE], ids=["one", "ordinary", "strange"])
@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
@pytest.mark.parametrize("binary", [True, False], ids=["bytes back", "json back"])
def test_given_the_same_records_in_tensors_then_the_answer_is_the_apis_own(
    service: Service, each: Sequence[Record], write: Any, binary: bool
) -> None:
    body, headers = write(*tensors(each), parameters={"binary_data_output": binary}, id="42")

    answer = ask(service, body, headers)

    wanted = expected(service, each)
    assert answer.status == 200, answer.told
    assert answer.outputs["probability"] == [prediction["probability"] for prediction in wanted]
    assert answer.outputs["decision"] == [prediction["decision"] for prediction in wanted]
    warnings = [json.loads(text) for text in answer.outputs["warnings"]]
    assert [len(found) for found in warnings] == [len(prediction["warnings"]) for prediction in wanted]
    assert (answer.told["model_name"], answer.told["model_version"]) == ("parcels", "run-1")
    assert answer.told["id"] == "42"
    assert ("Inference-Header-Content-Length" in answer.headers) == binary


@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
@pytest.mark.parametrize("shape", ["n", "n, 1"])
@pytest.mark.parametrize("number", ["FP64", "FP16", "INT64", "INT32", "UINT8"])
def test_given_other_datatypes_of_numbers_then_the_answer_is_the_same(
    service: Service, number: str, shape: str, write: Any
) -> None:
    each = [{"depot": "south", "distance": 7, "weight": 3}, {"depot": "north", "distance": 250, "weight": 0}]
    inputs = tensors(each, number, shape)
    if not number.startswith("FP"):
        inputs = [
            one | {"data": [int(v) if number in one.values() else v for v in one["data"]]} for one in inputs
        ]

    answer = ask(service, *write(*inputs))

    assert answer.status == 200, answer.told
    assert answer.outputs["probability"] == [one["probability"] for one in expected(service, each)]


@pytest.mark.parametrize(
    ("datatype", "within", "beyond"),
    [
        ("INT8", [-128, 127], [-129, 128, 3e9]),
        ("UINT8", [0, 255], [-1, 256]),
        ("INT32", [-(2**31), 2**31 - 1], [3_000_000_000, 3e9, -(2**31) - 1]),
        ("UINT32", [0, 2**32 - 1], [-1, 2**32]),
        ("INT64", [-(2**63), 2**63 - 1], [2**63, 1e30, -(2**63) - 1, 10**40]),
        ("UINT64", [0, 2**64 - 1], [-1, 2**64]),
        ("FP16", [-65504, 65504.0], [65520, -1e6]),
    ],
)
def test_given_numbers_at_the_ends_of_their_datatype_then_one_beyond_is_refused(
    service: Service, datatype: str, within: list[float], beyond: list[float]
) -> None:
    depot = tensor("depot", "BYTES", ["north"])
    for value in within:
        answer = ask(service, *in_json(depot, tensor("distance", datatype, [value])))
        assert answer.status == 200, answer.told
    for value in beyond:
        answer = ask(service, *in_json(depot, tensor("distance", datatype, [value])))
        assert (answer.status, f"element 0 is beyond {datatype}, which holds " in answer.error) == (400, True)


@pytest.mark.parametrize(
    ("datatype", "value"), [("INT8", 1400), ("UINT16", -3), ("FP16", 70_000), ("INT32", 2.5)]
)
def test_given_a_number_that_the_model_would_take_but_not_its_datatype_then_it_is_refused_too(
    tmp_path: Path, datatype: str, value: float
) -> None:
    wide = Input(name="distance", kind="number", required=True, min=-1e5, max=1e5)
    make_bundle(tmp_path / "bundle", Tiny(inputs=(wide,), examples=({"distance": 5.0},)))
    service = serve(tmp_path)
    assert ask(service, *in_json(tensor("distance", "FP64", [value]))).status == 200
    assert ask(service, *in_json(tensor("distance", datatype, [value]))).status == 400


@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
def test_given_booleans_then_they_are_one_and_zero(service: Service, write: Any) -> None:
    each = [{"depot": "south", "distance": 1}, {"depot": "south", "distance": 0}]
    depot = tensor("depot", "BYTES", ["south", "south"])

    answer = ask(service, *write(depot, tensor("distance", "BOOL", [True, False])))

    assert answer.outputs["probability"] == [one["probability"] for one in expected(service, each)]


@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
def test_given_one_matrix_of_texts_then_the_answer_is_the_same(service: Service, write: Any) -> None:
    answer = ask(service, *write(matrix(STRANGE)))

    assert answer.status == 200, answer.told
    assert answer.outputs["probability"] == [one["probability"] for one in expected(service, STRANGE)]


def test_given_a_model_of_numbers_then_one_matrix_of_numbers_will_do(tmp_path: Path) -> None:
    inputs = tuple(Input(name=name, kind="number", weight=0.5) for name in "ab")
    make_bundle(tmp_path / "bundle", Tiny(inputs=inputs, examples=({"a": 1.0, "b": 2.0},)))
    service = serve(tmp_path)
    rows = [1.0, 2.0, math.nan, 0.25]

    answer = ask(service, *as_bytes(tensor("rows", "FP32", rows, [2, 2])))

    wanted = expected(service, [{"a": 1.0, "b": 2.0}, {"a": None, "b": 0.25}])
    assert answer.outputs["probability"] == [one["probability"] for one in wanted]


def test_given_lists_in_lists_then_they_are_read_row_by_row(service: Service) -> None:
    nested = tensor("distance", "FP32", [[120.0], [7.0]], [2, 1])
    depot = tensor("depot", "BYTES", ["north", "south"])

    answer = ask(service, *in_json(depot, nested))

    wanted = expected(service, [{"depot": "north", "distance": 120}, {"depot": "south", "distance": 7}])
    assert answer.outputs["probability"] == [one["probability"] for one in wanted]


def test_given_a_missing_number_in_json_then_null_and_nan_will_do(service: Service) -> None:
    base = [tensor("depot", "BYTES", ["north"]), tensor("distance", "FP32", [5.0])]
    (wanted,) = expected(service, [{"depot": "north", "distance": 5}])

    for missing in (None, math.nan):
        answer = ask(service, *in_json(*base, tensor("weight", "FP32", [missing])))
        assert answer.outputs["probability"] == [wanted["probability"]]


numbers = st.none() | st.floats(-10, 6000, width=32)
texts = st.sampled_from(["", "north", "south", "moon", "grün", "a" * 300])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"depot": texts, "distance": numbers, "weight": numbers, "region": texts, "volume": numbers}
        ),
        min_size=1,
        max_size=6,
    )
)
def test_given_any_values_then_bytes_json_and_the_apis_own_route_agree(
    service: Service, each: list[Record]
) -> None:
    own = service.answer(own_event(records(*each)), None)
    found = [ask(service, *write(*tensors(each))) for write in (as_bytes, in_json)]

    assert {answer.status for answer in found} == {own["statusCode"]}
    if own["statusCode"] == 200:
        wanted = read(own)["predictions"]
        for answer in found:
            assert answer.outputs["probability"] == [one["probability"] for one in wanted]
            assert [json.loads(text) for text in answer.outputs["warnings"]] == [
                one["warnings"] for one in wanted
            ]


whole = st.integers(0, 60)
known = st.sampled_from(["north", "south"])


@given(
    st.lists(
        st.fixed_dictionaries({"depot": known, "distance": whole, "weight": whole, "colour": texts}),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["FP32", "FP64", "FP16", "INT64", "UINT8"]),
    st.sampled_from([as_bytes, in_json]),
)
def test_given_what_is_taken_quickly_then_the_careful_way_makes_the_same_rows_of_it(
    service: Service, each: list[Record], number: str, write: Any
) -> None:
    inferring, predictor = service._core.open_inference._infer, service._predictor
    assert inferring
    assert predictor
    inputs = [
        one | {"data": list(map(int, one["data"]))} if one["datatype"] in {"INT64", "UINT8"} else one
        for one in tensors(each, number)
        if one["name"] != "colour" or write is in_json
    ]
    body, headers = write(*inputs)
    asked = inferring._reader.read({name.lower(): value for name, value in headers.items()}, body)
    rows, size = predictor._model.rows, predictor._layout.row.size * len(each)
    rows[:size] = b"\xff" * size

    assert inferring._form.ordinary(asked) == (len(each), "columns")
    quickly = bytes(rows[:size])
    records, _ = inferring._form.values(asked)
    predictor._layout.fill(rows, records)

    assert bytes(rows[:size]) == quickly


@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
def test_given_ordinary_tensors_then_the_careful_way_is_not_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the careful way was taken")

    inferring = service._core.open_inference._infer
    assert inferring
    monkeypatch.setattr(inferring._form, "values", fail)
    each = [{"depot": "south", "distance": 7, "weight": 3, "region": "plain"}, PARCEL | {"region": "alps"}]

    for number in ("FP32", "FP64", "INT64"):
        inputs = tensors(each, number)
        if number == "INT64":
            inputs = [one | {"data": [7, 8]} if one["datatype"] == number else one for one in inputs]
        assert ask(service, *write(*inputs)).status == 200


# ---- outputs, ids, packing ----------------------------------------------------------------------


def test_given_outputs_then_only_these_are_answered_each_as_it_is_asked_for(service: Service) -> None:
    outputs = [
        {"name": "decision", "parameters": {"binary_data": True}},
        {"name": "probability", "parameters": {"binary_data": False}},
    ]
    answer = ask(service, *in_json(*tensors(ORDINARY), outputs=outputs))

    assert [output["name"] for output in answer.told["outputs"]] == ["decision", "probability"]
    assert ["data" in output for output in answer.told["outputs"]] == [False, True]
    assert [output["datatype"] for output in answer.told["outputs"]] == ["BYTES", "FP32"]
    assert [output["shape"] for output in answer.told["outputs"]] == [[4], [4]]
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_given_no_id_then_none_is_answered(service: Service) -> None:
    answer = ask(service, *in_json(*tensors([PARCEL])))

    assert "id" not in answer.told
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["x-millrace-version"] == "run-1"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("unpacked_on_the_way", [True, False])
def test_given_a_packed_body_then_it_is_read_wherever_it_is_unpacked(
    service: Service, coding: str, pack: Any, unpacked_on_the_way: bool
) -> None:
    body, headers = as_bytes(*tensors(ORDINARY))
    sent = body if unpacked_on_the_way else pack(body)

    assert ask(service, sent, headers | {"Content-Encoding": coding}).status == 200


def test_given_a_version_then_it_is_answered_if_it_is_the_one_in_force(service: Service) -> None:
    body, headers = in_json(*tensors([PARCEL]))
    statuses = [
        ask(service, body, headers, INFER_VERSION, parameters={"model": "parcels", "version": version}).status
        for version in ("run-1", "run-2")
    ]
    assert statuses == [200, 404]


# ---- what the server tells of itself ------------------------------------------------------------


def test_given_a_released_model_then_server_and_model_are_ready(service: Service) -> None:
    assert [get(service, path).told for path in HEALTH] == [{"live": True}, {"ready": True}]
    assert get(service, READY).told == {"name": "parcels", "ready": True}
    version = f"{VERSION}/ready"
    assert get(service, version, model="parcels", version="run-1").status == 200
    assert get(service, version, model="parcels", version="run-2").status == 404


def test_given_the_server_then_it_tells_its_version_and_extension(service: Service) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert get(service, "/v2").told == {
        "name": project["name"],
        "version": project["version"],
        "extensions": ["binary_tensor_data"],
    }


def test_given_the_model_then_it_tells_its_tensors(service: Service) -> None:
    told = get(service, MODEL).told

    assert told == get(service, VERSION, model="parcels", version="run-1").told
    assert (told["name"], told["versions"]) == ("parcels", ["run-1"])
    assert {each["name"]: each["datatype"] for each in told["inputs"]} == {
        feature.name: "FP32" if feature.kind == "number" else "BYTES" for feature in PARCELS
    }
    assert [each["name"] for each in told["inputs"] if each["parameters"]["required"]] == [
        "depot",
        "distance",
    ]
    assert {each["name"]: each["datatype"] for each in told["outputs"]} == {
        "probability": "FP32",
        "decision": "BYTES",
        "warnings": "BYTES",
    }
    assert all(each["shape"] == [-1] for each in told["inputs"] + told["outputs"])


def test_given_nothing_is_released_then_the_server_lives_and_is_not_ready(tmp_path: Path) -> None:
    service = serve(tmp_path)

    live, ready = (get(service, path) for path in HEALTH)
    assert (live.status, ready.status, ready.told["ready"]) == (200, 503, False)
    model = get(service, READY)
    assert (model.status, model.told["name"], model.told["ready"]) == (503, "parcels", False)
    assert get(service, "/v2").status == 200
    for answer in (get(service, MODEL), ask(service, *in_json(*tensors([PARCEL])))):
        assert answer.status == 503
        assert "No model has been released yet" in answer.error


# ---- errors -------------------------------------------------------------------------------------

DEPOT, DISTANCE = tensor("depot", "BYTES", ["north"]), tensor("distance", "FP32", [5.0])
BOTH = (DEPOT, DISTANCE)


@pytest.mark.parametrize(
    ("inputs", "more", "said"),
    [
        ((*BOTH, tensor("speed", "FP32", [1.0])), {}, "there is no input `speed`; this model takes depot"),
        ((DEPOT, tensor("distance", "FP8", [1.0])), {}, "there is no datatype `FP8`"),
        ((DEPOT, tensor("distance", "BYTES", ["1"])), {}, "`distance` is BYTES; it must be FP32"),
        ((tensor("depot", "INT64", [1]), DISTANCE), {}, "`depot` is INT64; it must be BYTES"),
        ((DEPOT, tensor("distance", "FP32", [5.0], [2])), {}, "1 elements where its shape [2] has 2"),
        ((tensor("rows", "BYTES", ["1"], [int("9" * 4300), 6]),), {}, "- at `$.inputs[0].shape[0]`"),
        ((DEPOT, tensor("distance", "FP32", [5.0], [1] * 2000)), {}, "- at `$.inputs[1].shape`"),
        (
            (DEPOT, tensor("distance", "FP32", [5.0], [1, 1, 1])),
            {},
            "the shape [1, 1, 1]; it must be [n] or [n, 1]",
        ),
        ((DEPOT, tensor("distance", "FP32", [5.0], [-1])), {}, "1 elements where its shape [-1] has -1"),
        (
            (DEPOT, tensor("distance", "FP32", [5.0, 6.0])),
            {},
            "equally many records; here are `depot` 1, `distance` 2",
        ),
        ((*BOTH, DISTANCE), {}, "feature `distance` is sent twice"),
        ((DEPOT,), {}, "record 0, `distance` is required, and missing"),
        ((tensor("depot", "BYTES", [""]), DISTANCE), {}, "record 0, `depot` is required, and missing"),
        ((DEPOT, tensor("distance", "FP32", [1e31])), {}, "record 0, `distance` is beyond ±1e+30"),
        ((DEPOT, tensor("distance", "FP32", [math.inf])), {}, "must be a finite number"),
        ((tensor("rows", "BYTES", ["north"], [1, 1]),), {}, "`rows` has the shape [1, 1]; it must be [n, 6]"),
        ((tensor("rows", "FP32", [1.0] * 6, [1, 6]),), {}, "`rows` is FP32; it must be BYTES"),
        (
            (tensor("rows", "BYTES", ["north", "", "heavy", "", "", "5"], [1, 6]),),
            {},
            "record 0, `weight` must spell a number",
        ),
        (BOTH, {"outputs": [{"name": "label"}]}, "there is no output `label`; this model has probability"),
        (BOTH, {"outputs": [{"name": "decision"}] * 2}, "output `decision` is asked for twice"),
        (
            BOTH,
            {"outputs": [{"name": "decision", "parameters": {"classification": 3}}]},
            "`classification` is not supported",
        ),
        ((), {}, "holds no record"),
    ],
)
@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
def test_given_a_flawed_request_then_the_error_names_what_is_wrong(
    service: Service, write: Any, inputs: Sequence[dict[str, Any]], more: dict[str, Any], said: str
) -> None:
    answer = ask(service, *write(*inputs, **more))

    assert answer.status == 400
    assert said in answer.error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[]", "none of this protocol"),
        (b'{"inputs": {}}', "at `$.inputs`"),
        (
            b'{"inputs": [{"name": "depot", "shape": ["a"], "datatype": "BYTES", "data": []}]}',
            "at `$.inputs[0].shape[0]`",
        ),
        (b'{"inputs": [{"name": "depot", "shape": [1], "datatype": "BYTES"}]}', "neither `data` nor"),
        (
            b'{"inputs": [{"name": "depot", "shape": [1], "datatype": "BYTES", "data": [1]}]}',
            "element 0 is a number",
        ),
        (b'{"inputs": [{"name": "distance", "shape": [1], "datatype": "INT64", "data": [1.5]}]}', "no INT64"),
        (b'{"inputs": [{"name": "distance", "shape": [1], "datatype": "BOOL", "data": [1]}]}', "no BOOL"),
        (b'{"inputs": [{"name": "distance", "shape": [1], "datatype": "BOOL", "data": [2]}]}', "no BOOL"),
        (
            json.dumps({"inputs": [DEPOT | {"parameters": {"shared_memory_region": "a"}}]}).encode(),
            "`shared_memory_region` is not supported",
        ),
        (b"[" * 100_000, "nested too deep"),
        (rb'{"id": "\ud800", "inputs": []}', "half a surrogate pair"),
        (rb'{"inputs": [{"name": "\ud800", "shape": [1], "datatype": "BYTES"}]}', "half a surrogate pair"),
        (b'{"inputs": [], "id": ' + b"9" * 5000 + b"}", "a number too long"),
    ],
)
def test_given_a_body_that_is_no_request_then_the_error_says_where(
    service: Service, body: bytes, said: str
) -> None:
    answer = ask(service, body, {})

    assert answer.status == 400
    assert said in answer.error


@pytest.mark.parametrize("length", ["0", "-1", "9999", "x", "²", "9" * 5000])
def test_given_a_length_of_json_that_cannot_be_then_it_is_refused(service: Service, length: str) -> None:
    body, _ = as_bytes(*BOTH)

    answer = ask(service, body, {"Inference-Header-Content-Length": length})

    assert answer.status == 400
    assert "Inference-Header-Content-Length" in answer.error


def test_given_a_size_below_nothing_then_it_is_refused_and_not_passed_over(service: Service) -> None:
    answer = ask(service, *in_json(DEPOT, {**DISTANCE, "parameters": {"binary_data_size": -5}}))

    assert answer.status == 400
    assert "binary_data_size" in answer.error


def test_given_bytes_that_are_cut_off_anywhere_then_the_request_is_refused(service: Service) -> None:
    body, headers = as_bytes(*tensors(ORDINARY))

    for end in range(len(body)):
        assert ask(service, body[:end], headers).status == 400, end
    answer = ask(service, body + b"\0", headers)
    assert (answer.status, answer.error) == (
        400,
        "1 bytes follow those that the inputs' `binary_data_size` tell of",
    )


@pytest.mark.parametrize(
    ("blob", "said"),
    [
        (b"\x05\0\0\0nort", "shorter than its length"),
        (b"\x05\0\0\0north\0", "no whole length"),
        (b"\x02\0\0\0\xff\xff", "not UTF-8"),
        (packed("BYTES", ["north", "south"]), "2 elements where its shape [1] has 1"),
        (b"", "0 elements where its shape [1] has 1"),
    ],
)
def test_given_texts_that_do_not_fit_together_then_they_are_refused(
    service: Service, blob: bytes, said: str
) -> None:
    depot = {
        "name": "depot",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(blob)},
    }
    head = json.dumps({"inputs": [depot, DISTANCE]}).encode()

    answer = ask(service, head + blob, {"Inference-Header-Content-Length": str(len(head))})

    assert answer.status == 400
    assert said in answer.error


@pytest.mark.parametrize("write", [as_bytes, in_json], ids=["bytes", "json"])
def test_given_more_records_than_are_taken_then_the_error_says_how_many(service: Service, write: Any) -> None:
    answer = ask(service, *write(*tensors([PARCEL] * 101)))

    assert (answer.status, answer.error) == (
        413,
        "There are 101 records; at most 100 are taken. Send them in parts.",
    )


@pytest.mark.parametrize(
    ("body", "coding", "status", "said"),
    [
        (b" " * 100_001, "", 413, "at most 100000"),
        (gzip.compress(b" " * 200_000, mtime=0), "gzip", 413, "at most 100000"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 400, "not one whole piece"),
        (gzip.compress(b"{}", mtime=0) + b"more", "gzip", 400, "not one whole piece"),
        (b"\x1f\x8bnothing", "gzip", 400, "is not gzip"),
        (b"{}", "br", 415, "only gzip and deflate"),
    ],
)
def test_given_a_body_that_is_packed_badly_or_too_large_then_it_is_refused(
    service: Service, body: bytes, coding: str, status: int, said: str
) -> None:
    answer = ask(service, body, {"Content-Encoding": coding})

    assert answer.status == status
    assert said in answer.error


@pytest.mark.parametrize(
    ("resource", "method", "status"),
    [
        ("/v2/repository/index", "POST", 404),
        ("/v2/nothing", "GET", 404),
        ("/v2/models/{model}/stats", "GET", 404),
        ("/v2/health/live", "POST", 405),
        (INFER, "GET", 405),
    ],
)
def test_given_a_route_that_is_not_there_then_the_error_is_the_protocols(
    service: Service, resource: str, method: str, status: int
) -> None:
    answer = get(service, resource, method)

    assert answer.status == status
    assert answer.error


@pytest.mark.parametrize("resource", [INFER, MODEL, READY])
def test_given_another_model_then_it_is_not_found(service: Service, resource: str) -> None:
    method = "POST" if resource == INFER else "GET"
    answer = get(service, resource, method, model="letters/of %2F?")

    assert (answer.status, answer.error) == (
        404,
        "there is no model `letters/of %2F?` here; this is `parcels`",
    )


def test_given_an_error_of_ours_then_the_caller_is_told_nothing_and_the_log_everything(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("depot north")

    assert service._predictor
    monkeypatch.setattr(service._predictor, "score", fail)
    answer = ask(service, *in_json(*BOTH))

    assert (answer.status, "north" in answer.error) == (500, False)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["level"] for line in lines] == ["ERROR", "INFO"]
    assert lines[0]["error"] == "RuntimeError"


def test_given_an_inference_then_it_is_counted_as_a_prediction_is(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(service, *as_bytes(*tensors(STRANGE)))

    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["route"], line["status"], line["Records"], line["Warnings"]) == (INFER, 200, 5, 2)


# ---- anything at all ----------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
any_tensor = st.fixed_dictionaries(
    {
        "name": st.sampled_from([*(feature.name for feature in PARCELS), "rows", "speed"]),
        "datatype": st.sampled_from(["FP32", "FP64", "FP16", "INT8", "UINT64", "BOOL", "BYTES", "BF16"]),
        "shape": st.lists(st.integers(-1, 6) | st.just(10**30), max_size=3),
    },
    optional={
        "data": anything | st.lists(st.floats() | st.integers() | st.booleans() | st.text(), max_size=6),
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-2, 40)) | anything,
    },
)


def answered_or_refused(service: Service, body: bytes, headers: dict[str, str]) -> None:
    answer = ask(service, body, headers)
    assert answer.status in {200, 400, 413}
    assert answer.status == 200 or answer.error


@given(st.lists(any_tensor, max_size=4) | anything, st.binary(max_size=40))
def test_given_any_tensors_then_they_are_answered_or_refused(
    service: Service, inputs: Any, blob: bytes
) -> None:
    head = json.dumps({"inputs": inputs}).encode()

    answered_or_refused(service, head + blob, {"Inference-Header-Content-Length": str(len(head))})


@given(st.data())
def test_given_a_request_with_any_bytes_changed_then_it_is_answered_or_refused(
    service: Service, data: st.DataObject
) -> None:
    body, headers = as_bytes(*tensors(STRANGE), outputs=[{"name": "probability"}])
    changed = bytearray(body)
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))

    answered_or_refused(service, bytes(changed), headers)


@given(st.binary(max_size=60), st.text(max_size=6))
def test_given_any_body_and_length_then_it_is_refused_or_answered(
    service: Service, body: bytes, length: str
) -> None:
    answered_or_refused(service, body, {"Inference-Header-Content-Length": length})
