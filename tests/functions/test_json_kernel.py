"""The compiled reader of JSON finds what Python finds, or leaves it to Python."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.predict import kernel
from functions.predict.bundle import Manifest
from functions.predict.json_form import JsonForm
from functions.predict.kernel import Kernel
from functions.predict.layout import Layout, Shape
from functions.predict.problem import Problem

from .tiny_bundle import PARCEL, PARCELS, Input, Tiny, manifest

Reader = Callable[[bytes], tuple[int, Shape, bytes]]
"""Returns how many records a body has, how they are written, and the rows that they became."""
Record = dict[str, Any]


def layout_of(inputs: tuple[Input, ...] = PARCELS, *, records: int = 5, body_bytes: int = 100_000) -> Layout:
    limits = {"records": records, "body_bytes": body_bytes}
    return Layout(msgspec.convert(manifest(Tiny(inputs=inputs, limits=limits), b""), Manifest))


def reader_of(layout: Layout) -> Reader:
    memory = bytearray(layout.row.size * layout.limits.records)
    reading = Kernel(kernel.LIBRARY, layout, memoryview(memory))

    def read(body: bytes) -> tuple[int, Shape, bytes]:
        memory[:] = b"\xaa" * len(memory)  # nothing is right because it stood there before
        found = reading.read_json(body)
        return (
            abs(found),
            "columns" if found < 0 else "records",
            bytes(memory[: abs(found) * layout.row.size]),
        )

    return read


def careful(layout: Layout) -> Reader:
    """Return what the careful way answers without a warning; no record where it warns or refuses."""
    form = JsonForm(layout, memoryview(b""), None)

    def read(body: bytes) -> tuple[int, Shape, bytes]:
        try:
            records, shape = form.values(body)
        except Problem:
            return 0, "records", b""
        if any(layout.cautions(values) for values in records):
            return 0, "records", b""
        rows = bytearray(layout.row.size * len(records))
        layout.fill(memoryview(rows), records)
        return len(records), shape, bytes(rows)

    return read


LAYOUT = layout_of()
with_care = careful(LAYOUT)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return reader_of(LAYOUT)


def agrees(reader: Reader, sent: bytes) -> None:
    """What is read at once is what the careful way reads, without a warning; else nothing is."""
    found = reader(sent)
    if found[0]:
        assert with_care(sent) == found


GREEN = {"depot": "south", "distance": 0.0, "colour": "grün"}
WHOLE = PARCEL | {"colour": "\U0001f534", "volume": 1e-3, "region": ""}
RECORDS: list[Record] = [PARCEL, GREEN, WHOLE, {"region": None, "weight": None, **GREEN}]
COLUMNS = {
    "columns": {
        "distance": [1, 2.5, 5000],
        "depot": ["north", "south", "north"],
        "region": ["ALPS", None, ""],
        "volume": [None, 1e0, 0],
    }
}
ORDINARY = (*({"records": [record]} for record in RECORDS), {"records": RECORDS}, COLUMNS)
WRITERS: dict[str, Callable[[Any], str]] = {
    "json.dumps": json.dumps,
    "UTF-8 and short": partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
    "sorted and indented": partial(json.dumps, sort_keys=True, indent=2),
    "pandas": lambda document: json.dumps(document, separators=(",", ":")).replace("/", "\\/"),
    "blanks around": lambda document: f"\r\n\t {json.dumps(document)} ",
}
written = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@pytest.mark.parametrize("document", ORDINARY)
@written
def test_given_an_ordinary_body_then_it_is_read_at_once_and_to_the_bit(
    reader: Reader, document: Any, write: Callable[[Any], str]
) -> None:
    sent = write(document).encode()

    found = reader(sent)

    assert found[0]
    assert found == with_care(sent)


SIZE = Input(name="size", kind="number", required=True)
WORDS = (
    *("grün", "N/A", "\U0001f534", 'the "old" one', "back\\slash", "tab\t", "\0", "\x7f\x80\u07ff\u0800"),
    "\u0fff\u1000\ud7ff\ue000\uffff\U00010000\U0003ffff\U0010ffff",
)
STREET = Input(name="straße / 通り", kind="category", values=WORDS)
NOTE = Input(name="note", kind="category", used=False)
KIND = Input(name="kind", kind="category", required=True, values=("a",))
MANIFESTS = {
    "only a number": (SIZE,),
    "only a category": (KIND,),
    "nothing required": (Input(name="größe", kind="number"), STREET, NOTE),
    "nothing read but one": (NOTE, Input(name="x", kind="number", used=False, min=-1, max=1), KIND),
    "no word known": (SIZE, Input(name="code", kind="category")),
    "many words": (
        Input(name="code", kind="category", values=tuple(f"{code:x}" for code in range(3000))),
        SIZE,
    ),
    "many features": tuple(Input(name=f"{'n' * length}", kind="number", min=-9) for length in range(1, 60)),
}


def records_of(inputs: tuple[Input, ...], count: int) -> list[Record]:
    """Ordinary records that lack, in every way that they may, what is not required."""
    chance = random.Random(1)
    gaps = [None, ""]

    def value(feature: Input) -> Any:
        if feature.kind == "number":
            return chance.choice([1, -0.0, chance.uniform(-1, 1)] + ([] if feature.required else [None]))
        known = feature.values if feature.used else WORDS
        return chance.choice([*chance.sample(known, min(3, len(known))), *([] if feature.required else gaps)])

    def given() -> list[Input]:
        found = [feature for feature in inputs if feature.required or chance.random() < 0.8]
        return chance.sample(found or [*inputs[:1]], max(1, len(found)))

    return [{feature.name: value(feature) for feature in given()} for _ in range(count)]


@written
def test_given_any_word_of_a_vocabulary_then_it_is_found_however_it_is_written(
    write: Callable[[Any], str],
) -> None:
    read = reader_of(layout_of((STREET,)))

    for place, word in enumerate(WORDS, 1):
        sent = write({"columns": {STREET.name: [word]}}).encode()
        assert read(sent) == (1, "columns", struct.pack("f", place))


@pytest.mark.parametrize("inputs", MANIFESTS.values(), ids=MANIFESTS)
@pytest.mark.parametrize("most", [1, 5])
@written
def test_given_any_manifest_then_its_ordinary_records_are_read_at_once_and_to_the_bit(
    inputs: tuple[Input, ...], most: int, write: Callable[[Any], str]
) -> None:
    layout = layout_of(inputs, records=most)
    read, with_care = reader_of(layout), careful(layout)
    records = records_of(inputs, most)
    columns = {name: [record.get(name) for record in records] for name in records[0]}
    whole = {feature.name for feature in inputs if feature.required} <= columns.keys()

    for document in [{"records": records}] + [{"columns": columns}] * whole:
        sent = write(document).encode()
        assert read(sent) == with_care(sent)
        assert read(sent)[0] == most


def test_given_another_order_in_every_record_then_each_value_finds_its_place(reader: Reader) -> None:
    shuffled = [dict(random.Random(seed).sample(sorted(WHOLE.items()), len(WHOLE))) for seed in range(5)]
    sent = json.dumps({"records": shuffled}, ensure_ascii=False).encode()

    assert reader(sent) == with_care(sent)
    assert reader(sent)[2] == with_care(json.dumps({"records": [WHOLE] * 5}).encode())[2]


RARE = (
    b'{"records":[{"depot":"n\\u006frth","distance":1}]}',
    b'{"records":[{"d\\u0065pot":"north","distance":1}]}',
    b'{"r\\u0065cords":[{"depot":"north","distance":1}]}',
    b'{"records":[{"depot":"north","distance":1,"colour":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00fC\\uFFFF"}]}',
    b'{"records":[{"depot":"north","distance":1,"colour":"\\uD83d\\uDd34"}]}',
    b'{"records":[{"depot":"north","distance":-0}]}',
    b'{"records":[{"depot":"north","distance":-0.0}]}',
    b'{"records":[{"depot":"north","distance":-0e2}]}',
    b'{"records":[{"depot":"north","distance":1.2345678901234567e-41}]}',
    b'{"records":[{"depot":"north","distance":1e-64}]}',
    b'{"records":[{"depot":"north","distance":1E+003}]}',
)


@pytest.mark.parametrize("sent", RARE)
def test_given_what_is_rare_then_it_is_read_at_once_and_to_the_bit(reader: Reader, sent: bytes) -> None:
    assert reader(sent) == with_care(sent)
    assert reader(sent)[0] == 1


LEFT_TO_PYTHON = (
    b'{"records":[{"depot":"south","depot":"north","distance":1}]}',
    b'{"records":[{"depot":"north","distance":0.12345678901234567890}]}',
    b'{"records":[{"depot":"north","distance":1e-65}]}',
    b'{"columns":{"depot":["north"],"distance":[1],"volume":null}}',
)


@pytest.mark.parametrize("sent", LEFT_TO_PYTHON)
def test_given_what_is_lawful_and_rare_then_it_is_left_to_python(reader: Reader, sent: bytes) -> None:
    assert reader(sent)[0] == 0
    assert with_care(sent)[0] == 1


NO_TEXTS = (
    *(b"\n", b"\\", b"\\x", b"\\'", b"\\t\t", b"\\t\xff", b"\xc3\\u00bc", b"\xf0\x9f\\u0094\xb4"),
    *(b"\\u12", b"\\u00g0", b"\\u00G0", b"\\u12:4", b"\\U0041"),
    *(b"\\ud83d", b"\\ud800", b"\\udbff", b"\\udc00", b"\\udfff", b"\\ud83dx"),
    *(
        b"\\ud83d\\n",
        b"\\ud83d\\u0041",
        b"\\ud83d\\udbff",
        b"\\ud83d\\ue000",
        b"\\ud83d\\ndd34",
        b"\\ud83d/udd34",
    ),
)
NONSENSE = (
    *(b"", b"{", b"{}", b"null", b"[]", b'{"records":[]}', b'{"columns":{}}', b'{"records":null}'),
    *(
        b'{"records":}',
        b'{"columns":}',
        b'{"records":[}',
        b'{"columns":{}',
        b'{"columns":null}',
        b'{"moon":}',
    ),
    *(b'{"columns":{"depot":["north"],"distance":%s}}' % end for end in (b"", b"[", b"[1", b"[1,", b"[1]]")),
    b'{"records":[{"depot":"north","distance":1}}',
    b'{"records":[{}]}',
    b'{"records":[{"depot":"north","distance":1},]}',
    b'{"records":[{"depot":"north","distance":1,}]}',
    b'{"records":[{"depot":"north","distance":1}],"columns":{}}',
    b'{"records":[{"depot":"north","distance":1}]}}',
    b'{"records":[{"depot":"north","distance":1}]}\0',
    b'{"records":[{"depot":"north","distance":1,"moon":1}]}',
    b'{"records":[{"depot":"north","distance":null}]}',
    b'{"records":[{"depot":null,"distance":1}]}',
    b'{"records":[{"depot":,"distance":1}]}',
    b'{"records":[{"depot":"north","distance":}]}',
    b'{"records":[{"depot":"north","distance":1d2}]}',
    b'{"records":[{"depot":"north","distance":1,"depot"}]}',
    b'{"columns":{"depot":["north"],"distance":[1],"depot"}}',
    b'{"records":[{"depot":"","distance":1}]}',
    b'{"records":[{"depot":"moon","distance":1}]}',
    b'{"records":[{"depot":"north","distance":5000.1}]}',
    b'{"records":[{"depot":"north","distance":-1}]}',
    b'{"records":[{"depot":"north","distance":1,"colour":"\xff"}]}',
    *(b'{"records":[{"depot":"north","distance":1,"colour":"%s"}]}' % text for text in NO_TEXTS),
    b'{"columns":{"depot":["north"],"distance":[1,2]}}',
    b'{"columns":{"depot":["north"]}}',
    b'{"columns":{"depot":[],"distance":[]}}',
    b'\xef\xbb\xbf{"records":[{"depot":"north","distance":1}]}',
)


@pytest.mark.parametrize("sent", NONSENSE)
def test_given_what_deserves_a_second_look_then_nothing_is_read(reader: Reader, sent: bytes) -> None:
    assert reader(sent)[0] == 0
    assert with_care(sent)[0] == 0


@pytest.mark.parametrize("many", [5, 6])
def test_given_more_records_than_are_taken_then_nothing_is_read(reader: Reader, many: int) -> None:
    one = {"depot": "north", "distance": 1}
    for document in ({"records": [one] * many}, {"columns": {name: [one[name]] * many for name in one}}):
        assert reader(json.dumps(document).encode())[0] == (many if many <= LAYOUT.limits.records else 0)


SAMPLES = [json.dumps(document, ensure_ascii=False).encode() for document in ({"records": RECORDS}, COLUMNS)]
SIGNS = b'\0\t\n "+,-.0159:E[\\]enu{}\x7f\x80\xc3\xff'


@pytest.mark.parametrize("sample", SAMPLES)
def test_given_a_body_with_any_byte_changed_added_or_left_out_then_both_ways_agree(
    reader: Reader, sample: bytes
) -> None:
    whole = with_care(sample)
    for place in range(len(sample)):
        before, after = sample[:place], sample[place + 1 :]
        for changed in (before, before + after):
            agrees(reader, changed)
        for sign in SIGNS:
            agrees(reader, before + bytes([sign]) + after)
            agrees(reader, before + bytes([sign]) + sample[place:])
        assert reader(sample) == whole  # nothing is left of what was refused


def test_given_texts_longer_than_there_is_memory_for_then_those_with_escapes_are_left_to_python() -> None:
    layout = layout_of(body_bytes=400_000)
    read = reader_of(layout)

    for length, escape, found in ((70_000, "", 1), (60_000, "\\t", 1), (70_000, "\\t", 0)):
        sent = f'{{"records":[{{"depot":"north","distance":1,"colour":"{escape}{"x" * length}"}}]}}'.encode()
        assert read(sent)[0] == found
        assert careful(layout)(sent)[0] == 1


blank = st.sampled_from(["", "", "", " ", "\n\t", "\r"])
number = st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?\Z") | st.floats().map(
    repr
)
value = (
    number
    | st.sampled_from(
        [
            '"north"',
            '"south"',
            '"alps"',
            '"grün"',
            '""',
            "null",
            "true",
            '"n\\u006frth"',
            "01",
            ".5",
            "5.",
            "-0.0",
        ]
    )
    | st.floats(0, 10).map(repr)
    | st.integers(0, 5000).map(str)
)
name = st.sampled_from([feature.name for feature in PARCELS])


@st.composite
def text_of(draw: st.DrawFn) -> str:
    """JSON, or nearly so, of features that come in any order, more than once, and with any values."""

    def listed(items: list[str], ends: str) -> str:
        return ends[0] + ",".join(draw(blank) + item + draw(blank) for item in items) + ends[1]

    def pairs(values: st.SearchStrategy[str]) -> str:
        found = draw(st.dictionaries(name, values, max_size=6))
        twice = draw(st.lists(st.tuples(name, values), max_size=1)) if draw(st.booleans()) else []
        given = {"depot": '"north"', "distance": "1"} if draw(st.booleans()) else {}
        items = [*given.items(), *found.items(), *twice]
        return listed([f'"{key}"{draw(blank)}:{draw(blank)}{one}' for key, one in items], "{}")

    if draw(st.booleans()):
        return f'{{"records":{listed([pairs(value) for _ in range(draw(st.integers(0, 3)))], "[]")}}}'
    size = draw(st.integers(1, 3))
    return (
        f'{{"columns":{pairs(st.lists(value, min_size=size, max_size=size).map(lambda v: listed(v, "[]")))}}}'
    )


@given(sent=text_of())
def test_given_any_text_then_nothing_is_read_that_python_would_not_read_alike(
    reader: Reader, sent: str
) -> None:
    agrees(reader, sent.encode())


DEPTH = Input(name="depth", kind="number", min=-0.1, max=0.1)


@pytest.fixture(scope="module")
def number_reader() -> Callable[[str], tuple[int, bytes]]:
    read = reader_of(layout_of((SIZE,)))

    def once(text: str) -> tuple[int, bytes]:
        count, _, row = read(f'{{"records":[{{"size":{text}}}]}}'.encode())
        return count, row

    return once


def float_texts() -> Iterator[str]:
    """Numbers as programs write them: of every size that a float32 has, short and long, whole and broken."""
    chance = random.Random(7)
    for _ in range(4000):
        size = chance.uniform(1, 10) * 10.0 ** chance.randint(-15, 15)
        yield from (repr(size), repr(-size), f"{size:.3f}", f"{size:.6e}", str(int(size)), f"{size:.17g}")


def test_given_numbers_as_programs_write_them_then_nearly_all_are_read_at_once_and_to_the_bit(
    number_reader: Callable[[str], tuple[int, bytes]],
) -> None:
    texts = list(float_texts())
    found = [(text, number_reader(text)) for text in texts]

    read = [(text, row) for text, (count, row) in found if count]

    assert all(row == struct.pack("f", float(text)) for text, row in read)
    assert len(read) / len(texts) > 0.99


halfway = st.integers(0x00000000, 0x71000000).map(
    lambda bits: (
        (struct.unpack("f", struct.pack("I", bits))[0] + struct.unpack("f", struct.pack("I", bits + 1))[0])
        / 2
    )
)


@given(size=halfway, step=st.integers(-2, 2), places=st.integers(15, 18))
@example(size=16777217.0, step=0, places=16)
@example(size=16777217.0, step=0, places=17)
def test_given_a_number_at_the_middle_of_two_float32_then_it_is_never_read_wrongly(
    number_reader: Callable[[str], tuple[int, bytes]], size: float, step: int, places: int
) -> None:
    for _ in range(abs(step)):
        size = math.nextafter(size, math.inf * step)

    for text in (f"{size:.{places}g}", f"{-size:.{places}e}"):
        count, row = number_reader(text)
        assert not count or row == struct.pack("f", float(text))


@pytest.mark.parametrize("text", ["4451520929649177e-23", "5399955815832413e-24", "-879960248547848e-27"])
def test_given_a_power_that_no_float64_holds_and_a_half_then_it_is_never_read_wrongly(
    number_reader: Callable[[str], tuple[int, bytes]], text: str
) -> None:
    count, row = number_reader(text)

    assert not count or row == struct.pack("f", float(text))


@pytest.mark.parametrize(
    ("size", "found"),
    [
        *(("0.1", 1), ("0.1000000014901161", 1), ("0.1000000014901162", 0), ("0.2", 0)),
        *(("0.10000000149011613", 0), ("0.10000000149011612", 0)),  # so long, and so near: Python decides
    ],
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_given_a_number_at_its_bound_then_it_counts_as_python_counts_it(
    size: str, found: int, sign: str
) -> None:
    layout = layout_of((SIZE, DEPTH))
    sent = f'{{"records":[{{"size":1,"depth":{sign}{size}}}]}}'.encode()

    assert reader_of(layout)(sent)[0] == found
    assert careful(layout)(sent)[0] == (abs(float(size)) <= 0.10000000149011612)
