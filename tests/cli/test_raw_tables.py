from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.commands.ingest import ingest
from cli.errors import CliError
from cli.raw_tables import check, check_header, digest, find, installed, sealed, upload
from contract.schema import Column, Source, Table

COLUMNS = {name: Column(type="text") for name in ("origin", "temp", "time_hour")}
TABLES = {
    "weather": Table(file="weather.csv", columns=COLUMNS, key=("origin",)),
    "flights": Table(file="flights.csv.zip", columns=COLUMNS, key=("origin",)),
}
CONTENT = b"origin,temp,time_hour\r\nEWR,39.0,2013-01-01T06:00:00Z\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Both tables, one of them zipped, with what a Mac adds to a zip."""
    (tmp_path / "weather.csv").write_bytes(CONTENT)
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        archive.writestr("data/flights.csv", CONTENT)
        archive.writestr("__MACOSX/._flights.csv", b"x")
    return tmp_path


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket called lake."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="lake")
        yield client


@pytest.mark.parametrize(
    ("columns", "faults"),
    [
        (["origin", "temp", "time_hour"], []),
        (["time_hour", "origin", "temp"], []),
        (["origin", "temp"], ["missing columns: time_hour"]),
        (["origin", "temp", "time_hour", "note"], ["unexpected columns: note"]),
        (["origin", "temp", "temp", "time_hour"], ["repeated columns: temp"]),
        ([""], ["missing columns: origin, temp, time_hour", "unexpected columns: "]),
    ],
)
def test_headers_are_compared_with_the_contract(columns: list[str], faults: list[str]) -> None:
    assert check_header(columns, list(COLUMNS)) == faults


def test_a_table_may_lie_in_a_folder_of_its_own(folder: Path) -> None:
    (folder / "weather").mkdir()
    moved = (folder / "weather.csv").rename(folder / "weather" / "weather.csv")
    assert find(TABLES, folder)[0].path == moved


def test_a_zipped_table_is_found_and_read_from_inside(folder: Path) -> None:
    weather, flights = find(TABLES, folder)
    assert (weather.name, flights.name) == ("weather.csv", "flights.csv")
    assert flights.size == len(CONTENT)
    check(flights, TABLES["flights"])


def test_a_table_may_come_unzipped(folder: Path) -> None:
    (folder / "flights.csv.zip").unlink()
    (folder / "flights.csv").write_bytes(CONTENT)
    assert find(TABLES, folder)[1].name == "flights.csv"


def test_a_wrong_header_names_file_table_and_columns(folder: Path) -> None:
    (folder / "weather.csv").write_bytes(b"\xef\xbb\xbforigin,temperature,time_hour\n")
    with pytest.raises(CliError) as refused:
        check(find(TABLES, folder)[0], TABLES["weather"])
    assert refused.value.problem == "missing columns: temp\nunexpected columns: temperature"
    assert refused.value.where == f"table weather, header of {folder / 'weather.csv'}"
    assert "[tables.weather.columns]" in refused.value.remedy


def test_every_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        find(TABLES, tmp_path)
    assert (
        refused.value.problem == "table weather: no file weather.csv or weather/weather.csv\n"
        "table flights: no file flights.csv.zip or flights/flights.csv.zip"
    )


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"]])
def test_a_zip_must_hold_one_table(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "flights.csv.zip", "w") as archive:
        for name in names:
            archive.writestr(name, CONTENT)
    with pytest.raises(CliError, match=f"it holds {len(names)} CSV files"):
        find({"flights": TABLES["flights"]}, tmp_path)


def test_a_broken_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "flights.csv.zip").write_bytes(b"no zip")
    with pytest.raises(CliError) as refused:
        find({"flights": TABLES["flights"]}, tmp_path)
    assert refused.value.where == str(tmp_path / "flights.csv.zip")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("größe,temp,time_hour\n".encode("latin-1"), "not UTF-8"),
        ("origin,temp,time_hour\n".encode("utf-16"), "not UTF-8"),
        (b"x" * 200_000, "no header"),
    ],
)
def test_a_header_that_is_no_text_is_refused_with_its_file(folder: Path, content: bytes, says: str) -> None:
    (folder / "weather.csv").write_bytes(content)
    with pytest.raises(CliError, match=says) as refused:
        check(find(TABLES, folder)[0], TABLES["weather"])
    assert refused.value.where == str(folder / "weather.csv")


@pytest.mark.parametrize("harm", ["password", "content"])
def test_a_zip_that_cannot_be_unpacked_is_refused_with_its_file(folder: Path, harm: str) -> None:
    path = folder / "flights.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flights.csv", CONTENT * 100)
    content = bytearray(path.read_bytes())
    if harm == "password":
        content[6] |= 1
        content[content.find(b"PK\x01\x02") + 8] |= 1
    else:
        content[45:65] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(CliError, match="sound zip") as refused:
        check(find(TABLES, folder)[1], TABLES["flights"])
    assert refused.value.where.startswith(str(path))


def test_a_table_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "weather.csv").write_bytes(CONTENT * 100_000 + "Zürich,1,\n".encode("latin-1"))
    weather = find(TABLES, folder)[0]
    check(weather, TABLES["weather"])
    with pytest.raises(CliError, match="not UTF-8"):
        digest(weather)


def test_a_bad_table_stops_all_uploads(folder: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "flights.csv.zip").unlink()
    (folder / "flights.csv").write_bytes(CONTENT * 100_000 + "Zürich,1,\n".encode("latin-1"))
    here = SimpleNamespace(
        contract=SimpleNamespace(tables=TABLES, source=None),
        workload="flights",
        client=lambda _: s3,
        flags="",
    )
    monkeypatch.setattr("cli.commands.ingest.session", lambda *_: here)
    monkeypatch.setattr("cli.commands.ingest.outputs", lambda *_: {"lake_bucket": "lake"})
    with pytest.raises(CliError, match="not UTF-8"):
        ingest(from_=folder)
    assert "Contents" not in s3.list_objects_v2(Bucket="lake")


def test_a_table_keeps_its_name_whatever_its_zip_calls_it(folder: Path) -> None:
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("_export of May.csv", CONTENT)
    assert find(TABLES, folder)[1].name == "flights.csv"


def test_the_files_of_an_installed_distribution_are_found_without_importing_it() -> None:
    found = installed(Source(folder="pytest", distribution="pytest"))
    assert (found / "__init__.py").is_file()
    with pytest.raises(CliError, match="pip install no-such-distribution"):
        installed(Source(folder="x", distribution="no-such-distribution"))
    with pytest.raises(CliError, match="has no files in nowhere"):
        installed(Source(folder="nowhere", distribution="pytest"))
    with pytest.raises(CliError, match="--from FOLDER"):
        installed(Source(folder="x"))


def test_a_table_is_uploaded_unzipped_once_and_again_only_when_changed(folder: Path, s3: Any) -> None:
    flights = find(TABLES, folder)[1]
    sent: list[int] = []
    assert upload(s3, sealed(flights), "lake", "flights/raw/flights/flights.csv", sent.append)
    assert s3.get_object(Bucket="lake", Key="flights/raw/flights/flights.csv")["Body"].read() == CONTENT
    assert sum(sent) == len(CONTENT)
    assert not upload(s3, sealed(flights), "lake", "flights/raw/flights/flights.csv", sent.append)
    with zipfile.ZipFile(flights.path, "w") as archive:
        archive.writestr("data/flights.csv", CONTENT.replace(b"39.0", b"40.0"))
    assert upload(s3, sealed(flights), "lake", "flights/raw/flights/flights.csv", sent.append)
