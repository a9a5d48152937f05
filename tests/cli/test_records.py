from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from cli import records
from cli.errors import CliError

ONE, TWO = {"origin": "JFK", "temp": 39.5}, {"origin": "EWR", "temp": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(ONE), [ONE]),
        (json.dumps([ONE, TWO]), [ONE, TWO]),
        (json.dumps({"records": [ONE, TWO]}), [ONE, TWO]),
        (f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n", [ONE, TWO]),
        ('{"records": 7}', [{"records": 7}]),
        ("[]", []),
    ],
)
def test_every_shape_of_records_is_read(text: str, expected: list[object]) -> None:
    assert records.parse(text, "here") == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{'a': 1}", "here, line 1, column 2"),
        ('{\n"a": }', "here, line 2"),
        ("", "here, line 1"),
        ("7", "here"),
        ("[" * 100_000, "here"),
        (f'{{"a": {"9" * 5000}}}', "here"),
        (f'{{}}\n{{"a": {"9" * 5000}}}', "here"),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(CliError) as refused:
        records.parse(text, "here")
    assert refused.value.where.startswith(place)
    assert "records" in refused.value.remedy


def test_examples_are_sent_unless_records_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "records.json"
    file.write_text(json.dumps([TWO]))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(ONE)))
    assert records.read(None, None, (ONE, TWO)) == [ONE, TWO]
    assert records.read(json.dumps(ONE), None, ()) == [ONE]
    assert records.read(None, str(file), ()) == [TWO]
    assert records.read(None, "-", ()) == [ONE]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    file.write_text(json.dumps(ONE), encoding="utf-8-sig")
    assert records.read(None, str(file), ()) == [ONE]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CliError) as refused:
        records.read(None, "/no/such/file.json", ())
    assert refused.value.where == "/no/such/file.json"


def test_the_body_holds_the_records_as_they_are() -> None:
    body = records.body([{"carrier": "Größe", "temp": 1e-7}])
    assert json.loads(body) == {"records": [{"carrier": "Größe", "temp": 1e-7}]}


def test_half_a_surrogate_pair_is_left_for_the_api_to_refuse() -> None:
    assert records.body([{"carrier": "\ud800"}]) == b'{"records": [{"carrier": "\\ud800"}]}'
