"""The compiled reader of binary requests finds what the careful way finds, or leaves it to that."""

from __future__ import annotations

import ctypes
import json
import math
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.predict import kernel
from functions.predict.binary_form import BinaryForm
from functions.predict.bundle import Manifest
from functions.predict.event import decoded
from functions.predict.kernel import Kernel
from functions.predict.layout import Layout
from functions.predict.problem import Problem
from functions.predict.request import PROBABILITIES, RECORDS
from functions.predict.routes import Service
from functions.predict.settings import Settings

from .conftest import Ask
from .gateway import event, read
from .tiny_bundle import PARCEL, PARCELS, Tiny, make_bundle, manifest


def layout_of(body_bytes: int) -> Layout:
    made = manifest(Tiny(limits={"records": 5, "body_bytes": body_bytes}), b"")
    return Layout(msgspec.convert(made, Manifest))


LAYOUT = layout_of(body_bytes=400)
NUMBERS, CATEGORIES = ([f.name for f in PARCELS if f.kind == kind] for kind in ("number", "category"))
SIZE = LAYOUT.row.size * LAYOUT.limits.records
Record = dict[str, Any]


@pytest.fixture(scope="module")
def reader() -> Callable[..., tuple[int, bytes]]:
    """Reads a body with the kernel: how many records, and the rows that they became."""
    memory = bytearray(SIZE)
    reading = Kernel(kernel.LIBRARY, LAYOUT, memoryview(memory))

    def once(body: bytes, *, in_base64: bool = False) -> tuple[int, bytes]:
        count = reading.read(body, in_base64=in_base64)
        return count, bytes(memory[: count * LAYOUT.row.size])

    return once


CAREFUL = BinaryForm(LAYOUT, None)


def with_care(body: bytes) -> tuple[int, bytes, bool]:
    """What the careful way finds: how many records it answers, their rows, whether it warns."""
    try:
        records, _ = CAREFUL.values(body)
    except Problem:
        return 0, b"", False
    rows = bytearray(LAYOUT.row.size * len(records))
    LAYOUT.fill(memoryview(rows), records)
    return len(records), bytes(rows), any(LAYOUT.cautions(values) for values in records)


def written(records: Sequence[Record], spare: Sequence[str] = ()) -> bytes:
    """Binary records; ``spare`` are texts of the first category that no record uses."""
    numbers = [value for record in records for value in (record.get(name, math.nan) for name in NUMBERS)]
    columns = [[record.get(name, "") for record in records] for name in CATEGORIES]
    texts = [list(dict.fromkeys(column)) for column in columns]
    texts[0] += spare
    codes = [own.index(text) for own, column in zip(texts, columns, strict=True) for text in column]
    head = struct.pack(f"<4sI{len(texts)}H", b"MRB1", len(records), *map(len, texts))
    middle = struct.pack(f"<{len(numbers)}f{len(codes)}H", *numbers, *codes)
    return head + middle + "\0".join(text for own in texts for text in own).encode()


ORDINARY = {
    "depot": st.sampled_from(["north", "south"]),
    "colour": st.sampled_from(["", "red", "grün", "赤", "\U0001f534", "\u07ff\u0800\ud7ff\ue000\U0010ffff"]),
    "region": st.sampled_from(["", "alps", "coast", "plain", "flat land"]),
    "weight": st.floats(0, 100, width=32) | st.just(math.nan),
    "volume": st.floats(0, 10, width=32) | st.just(math.nan),
    "distance": st.floats(0, 5000, width=32) | st.sampled_from([-0.0, 1e-45]),
}
ordinary = st.lists(st.fixed_dictionaries(ORDINARY), min_size=1, max_size=5)
STRANGE = {
    "depot": st.sampled_from(["", "nort", "northh", "\x01"]),
    "region": st.sampled_from(["moon", "Alps"]),
    "weight": st.sampled_from([-1.0, 100.1, math.inf, -math.inf, 1e31]),
    "distance": st.just(math.nan),
}
any_record = st.fixed_dictionaries(
    {name: value | STRANGE.get(name, value) for name, value in ORDINARY.items()}
)
body = st.lists(any_record, max_size=7).map(written)
position = st.integers(0, 10_000)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A body with bytes changed, left out or added somewhere."""
    content = bytearray(draw(body))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(position) % (len(content) + 1)
        content[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(content)


@given(records=ordinary)
def test_given_ordinary_records_then_they_are_read_at_once_and_to_the_bit(
    reader: Callable[..., tuple[int, bytes]], records: list[Record]
) -> None:
    sent = written(records)

    count, rows, warned = with_care(sent)

    assert (count, warned) == (len(records), False)
    assert reader(sent) == reader(b64encode(sent), in_base64=True) == (count, rows)


def agrees(reader: Callable[..., tuple[int, bytes]], sent: bytes) -> None:
    """What is read at once is what the careful way reads, without a warning; else nothing is."""
    count, rows = reader(sent)
    if count:
        assert with_care(sent) == (count, rows, False)


@given(sent=damaged() | body | st.binary(max_size=80))
@example(sent=b"")
@example(sent=b"MRB1")
def test_given_any_body_then_nothing_is_read_that_the_careful_way_would_not_read_alike(
    reader: Callable[..., tuple[int, bytes]], sent: bytes
) -> None:
    agrees(reader, sent)


GREEN = {"depot": "south", "distance": 0.0, "colour": "grün"}
SAMPLE = written([PARCEL, GREEN, PARCEL | {"region": "plain"}])


def test_given_a_body_cut_anywhere_then_it_is_not_read_unless_what_is_left_is_a_body(
    reader: Callable[..., tuple[int, bytes]],
) -> None:
    last_text = SAMPLE.rindex(b"\0") + 1  # cut here it is empty: a missing value
    read_at = [end for end in range(len(SAMPLE) + 1) if reader(SAMPLE[:end])[0]]

    assert read_at == [last_text, len(SAMPLE)]
    for end in range(len(SAMPLE) + 1):
        agrees(reader, SAMPLE[:end])


def test_given_a_body_with_any_byte_changed_then_both_ways_agree(
    reader: Callable[..., tuple[int, bytes]],
) -> None:
    for place in range(len(SAMPLE)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            changed = SAMPLE[:place] + bytes([SAMPLE[place] ^ mask]) + SAMPLE[place + 1 :]
            agrees(reader, changed)
            agrees(reader, changed + b"\0")


@pytest.mark.parametrize(
    "text",
    [
        *(b"\x80", b"\xff", b"\xc3", b"\xe2\x82", b"\xe2\x28\xa1", b"\xf0\x9f\x94\x28"),
        *(b"\xc0\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf"),
        *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80"),
    ],
)
def test_given_a_text_that_is_not_utf8_then_it_is_left_to_the_careful_way(
    reader: Callable[..., tuple[int, bytes]], text: bytes
) -> None:
    sent = written([PARCEL | {"colour": "COLOUR"}])
    assert reader(sent)[0] == 1

    broken = sent.replace(b"COLOUR", text)

    assert reader(broken)[0] == 0
    assert with_care(broken)[0] == 0


@pytest.mark.parametrize("spare", [["moon"], ["north"] * 5])
def test_given_texts_that_no_record_uses_then_the_careful_way_answers_alike(
    reader: Callable[..., tuple[int, bytes]], spare: list[str]
) -> None:
    sent = written([PARCEL], spare)

    assert reader(sent)[0] == 0
    assert with_care(sent) == (*reader(written([PARCEL])), False)


def test_given_more_text_than_is_ordinary_then_the_careful_way_answers_alike() -> None:
    layout = layout_of(body_bytes=200_000)
    form = BinaryForm(layout, Kernel(kernel.LIBRARY, layout, memoryview(bytearray(layout.row.size * 5))))

    for length, found in ((60_000, 1), (70_000, 0)):
        sent = written([PARCEL | {"colour": "x" * length}])
        assert form.ordinary(sent)[0] == found
        assert len(form.values(sent)[0]) == 1


def test_given_any_nan_then_a_missing_number_always_looks_the_same(
    reader: Callable[..., tuple[int, bytes]],
) -> None:
    sent = written([PARCEL | {"weight": 77.0}])
    rows = {
        reader(sent.replace(struct.pack("<f", 77.0), struct.pack("<I", bits)))
        for bits in (0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF)
    }

    assert rows == {(1, with_care(written([PARCEL | {"weight": math.nan}]))[1])}


ENCODED = b64encode(SAMPLE).decode()
digit = st.sampled_from("AByz09+/=-_ \n\u00e9")


@given(place=position, change=st.text(digit, max_size=4), width=st.integers(0, 4))
@example(place=0, change="", width=0)
@example(place=len(ENCODED), change="====", width=0)
def test_given_any_text_in_place_of_base64_then_it_is_read_as_strictly_as_by_the_careful_way(
    reader: Callable[..., tuple[int, bytes]], place: int, change: str, width: int
) -> None:
    place %= len(ENCODED) + 1
    text = ENCODED[:place] + change + ENCODED[place + width :]
    try:
        content = decoded(text)
    except Problem:
        content = b""

    found = reader(text.encode(), in_base64=True)

    # Bits that belong to no byte are left to the careful way.
    assert found == reader(content) or (found[0] == 0 and b64encode(content).decode() != text)


def binary(body: bytes, accept: str) -> dict[str, Any]:
    headers = {"Content-Type": RECORDS, "Accept": accept}
    return event(b64encode(body).decode(), headers=headers, encoded=True)


def served(root: Path, *, log: list[bytes]) -> Service:
    make_bundle(root / "bundle", Tiny())
    return Service.start(Settings(bundle=root / "bundle", environment="test", workload="parcels"), log.append)


def another_version(*given: Any, plan: Callable[..., Any] = kernel._plan) -> Any:
    made, alive = plan(*given)
    made.bytes += 8
    return made, alive


UNUSABLE = ["missing", "no library", "another version"]


@pytest.mark.parametrize("why", UNUSABLE)
def test_given_no_kernel_to_use_then_all_is_answered_alike_and_the_log_says_so(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    place, log = tmp_path / "kernel.so", list[bytes]()
    if why == "no library":
        place.write_text("not a library")
    if why == "another version":
        place.write_bytes(Path(kernel.LIBRARY).read_bytes())
        monkeypatch.setattr(kernel, "_plan", another_version)
    monkeypatch.setattr(kernel, "LIBRARY", str(place))
    service = served(tmp_path, log=log)
    monkeypatch.undo()

    for accept in (PROBABILITIES, "*/*"):
        asked = binary(written([PARCEL, PARCEL | {"region": "plain", "weight": math.nan}]), accept)
        assert service.answer(asked, None) == ask(asked)
        assert ask(asked)["statusCode"] == 200

    line, *_ = (json.loads(entry) for entry in log)
    assert line["level"] == "WARN"
    assert "many times as slowly" in line["message"]
    assert "make setup" in line["message"]


def test_given_the_kernel_then_the_log_begins_with_a_request(tmp_path: Path) -> None:
    log: list[bytes] = []

    served(tmp_path, log=log).answer(event(resource="/health"), None)

    assert [json.loads(line)["message"] for line in log] == ["request"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PROBABILITIES, PROBABILITIES),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (f"text/html, {PROBABILITIES}", "application/json"),
        (f"{PROBABILITIES}, */*", PROBABILITIES),
    ],
)
def test_given_binary_then_the_answer_is_what_the_caller_accepts_first(
    ask: Ask, accept: str, kind: str
) -> None:
    response = ask(binary(written([PARCEL] * 3), accept))

    assert (response["statusCode"], response["headers"]["Content-Type"]) == (200, kind)
    if kind == "application/json":
        assert len(read(response)["predictions"]) == 3
    else:
        assert response["headers"]["x-millrace-warnings"] == "0"


def test_given_binary_in_a_coding_that_is_not_taken_then_it_is_refused(ask: Ask) -> None:
    asked = binary(written([PARCEL]), PROBABILITIES)
    asked["headers"]["Content-Encoding"] = "br"

    assert ask(asked)["statusCode"] == 415


def test_given_a_plan_of_another_size_then_the_kernel_does_not_touch_it() -> None:
    library = ctypes.CDLL(kernel.LIBRARY)
    plan = (ctypes.c_uint64 * 64)(1)

    assert library.millrace_prepare(plan) == 0
    assert list(plan) == [1] + [0] * 63
