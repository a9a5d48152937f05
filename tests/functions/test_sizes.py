"""The largest answers pass on their way: a contract's limit bounds the ordinary ones, the rest is refused."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import replace

import msgspec
import pytest

from contract import limits
from functions.predict import answers
from functions.predict.answers import JsonAnswer
from functions.predict.bundle import Manifest
from functions.predict.core import Reply
from functions.predict.open_inference.answers import Outputs
from functions.predict.open_inference.asked import OUTPUTS, Wanted
from functions.predict.open_inference.protocol import LONG_ID
from functions.predict.routes import Service, response

from .gateway import event, read, records
from .open_protocol import as_bytes, ask, in_json, tensor
from .open_protocol import event as protocol_event
from .tiny_bundle import Tiny, manifest

ID = "0a1b2c3d-1122-3344-5566-77889900aabb"
PROBABILITIES = [
    struct.unpack("f", struct.pack("f", value))[0] for value in (0.1, 1.2345678e-5, 1.4e-45, 1.0)
]


def told(body: str | bytes) -> int:
    """Bytes of what a function returns, as a runtime writes it that escapes all but ASCII."""
    return len(json.dumps(response(Reply(body, {}))))


def test_the_function_and_the_contract_go_by_the_same_limit() -> None:
    assert answers.MOST_BYTES == limits.CARRIED - limits.AROUND


@pytest.mark.parametrize("words", [("late", "on time"), ('"spät"', "\\\\"), ("Ja 🚲", "nein")])
def test_given_records_without_warnings_then_no_form_of_answer_is_larger_than_the_contract_reckons(
    words: tuple[str, str],
) -> None:
    count = 3000
    tiny = replace(Tiny(), positive=words[0], negative=words[1], limits={"records": count, "body_bytes": 10})
    about = msgspec.convert(manifest(tiny, b""), Manifest)
    most, quoted_id = limits.answer_bytes(*words, count), f'"{ID}"'
    for value in PROBABILITIES:
        found = [value] * count
        own, protocol = JsonAnswer(about), Outputs(about.workload, about.version, about.decision)
        bodies: list[str | bytes] = [own.records(quoted_id, found, {}), own.columns(quoted_id, found, {})]
        for binary in (False, True):
            text, blob = protocol.write(ID, [Wanted(name, binary) for name in OUTPUTS], found, {})
            bodies.append(text.encode() + blob if blob else text)
        assert max(map(told, bodies)) <= most
    # and the reckoning is no wild guess
    assert told(own.records(quoted_id, [PROBABILITIES[1]] * count, {})) > 0.8 * (most - limits.AROUND)


@pytest.mark.parametrize("shape", ["records", "columns"])
def test_given_warnings_then_an_answer_passes_up_to_the_limit_and_not_a_byte_beyond(
    service: Service, tiny: Tiny, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = [{**tiny.examples[0], "weight": 10_000.0}] * 3
    columns = {name: [record[name] for record in each] for name in each[0]}
    asked = event(records(*each) if shape == "records" else {"columns": columns})
    fits = service.answer(asked, None)
    assert fits["statusCode"] == 200
    size = len(json.dumps(fits["body"]))
    monkeypatch.setattr(answers, "MOST_BYTES", size)
    assert service.answer(asked, None)["body"] == fits["body"]
    monkeypatch.setattr(answers, "MOST_BYTES", size - 1)
    refused = service.answer(asked, None)
    assert refused["statusCode"] == 413
    assert re.search(rf"{size} bytes .* at most {size - 1} .* fewer records", read(refused)["detail"])


@pytest.mark.parametrize("binary", [True, False], ids=["bytes back", "json back"])
def test_given_warnings_then_an_answer_of_the_protocol_has_the_same_limit(
    service: Service, binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [
        tensor("depot", "BYTES", ["north"] * 3),
        tensor("distance", "FP32", [1.0] * 3),
        tensor("weight", "FP32", [10_000.0] * 3),
    ]
    asked = (as_bytes if binary else in_json)(*sent, parameters={"binary_data_output": binary})
    found = service.answer(protocol_event(body=asked[0], headers=asked[1]), None)
    size = len(found["body"]) if binary else len(json.dumps(found["body"]))
    monkeypatch.setattr(answers, "MOST_BYTES", size)
    assert ask(service, *asked).status == 200
    monkeypatch.setattr(answers, "MOST_BYTES", size - 1)
    refused = ask(service, *asked)
    assert (refused.status, "fewer records" in refused.told["error"]) == (413, True)


@pytest.mark.parametrize(("length", "status"), [(LONG_ID, 200), (LONG_ID + 1, 413)])
def test_given_a_very_long_id_of_the_caller_then_the_answer_s_size_is_looked_at(
    service: Service, length: int, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_BYTES", 100)
    asked = in_json(tensor("depot", "BYTES", ["north"]), tensor("distance", "FP32", [1.0]), id="i" * length)
    assert ask(service, *asked).status == status
