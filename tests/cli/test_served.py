from __future__ import annotations

import io
import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws

from cli import main
from cli.commands.serve import serve
from cli.errors import CliError
from cli.models import POINTER
from cli.served import answer_of, call_of, champions_files, write
from cli.session import Session, session
from functions.predict.core import Core
from tests.functions.tiny_bundle import Tiny, make_bundle

PLACE = "s3://models/parcels/runs/r/bundle/"


@pytest.fixture
def here() -> Session:
    return session("local", "flights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "made")


def fetched(here: Session, pointer: dict[str, str], contents: dict[str, bytes]) -> dict[str, bytes]:
    """Fetch from a bucket that holds ``contents`` and is asked for them in this order."""
    with Stubber(here.client("ssm")) as ssm, Stubber(here.client("s3")) as s3:
        ssm.add_response("get_parameter", {"Parameter": {"Value": json.dumps(pointer)}})
        for name, content in contents.items():
            body: dict[str, Any] = {"Body": StreamingBody(io.BytesIO(content), len(content))}
            s3.add_response("get_object", body, {"Bucket": "models", "Key": f"parcels/runs/r/bundle/{name}"})
        if len(contents) < 2:
            s3.add_client_error("get_object", "NoSuchKey")
        place, files = champions_files(here)
        assert place == PLACE
        s3.assert_no_pending_responses()
        return files


def held(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("manifest.json", "model.onnx")}


def test_given_a_champion_then_its_files_are_fetched_and_serve(
    here: Session, folder: Path, tmp_path: Path
) -> None:
    files = fetched(here, dict.fromkeys(POINTER, "x") | {"bundle": PLACE}, held(folder))

    write(files, tmp_path / "new" / "bundle")

    assert held(tmp_path / "new" / "bundle") == held(folder)
    assert Core.open(tmp_path / "new" / "bundle").workload == "parcels"
    assert sorted(file.name for file in (tmp_path / "new" / "bundle").iterdir()) == sorted(held(folder))


def test_given_a_file_that_is_not_the_manifests_then_nothing_is_written(here: Session, folder: Path) -> None:
    spoiled = held(folder) | {"model.onnx": b"other"}

    with pytest.raises(CliError, match="its SHA-256 is not the manifest's") as refused:
        fetched(here, dict.fromkeys(POINTER, "x") | {"bundle": PLACE}, spoiled)
    assert refused.value.where == PLACE


def test_given_an_environment_in_aws_then_one_command_fetches_what_serves(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    pointer = dict.fromkeys(POINTER, "x") | {"bundle": PLACE}
    with mock_aws():
        clients = session("dev", "flights")
        clients.client("ssm").put_parameter(
            Name="/millrace/dev/flights/champion", Value=json.dumps(pointer), Type="String"
        )
        clients.client("s3").create_bucket(Bucket="models")
        for name, content in held(folder).items():
            clients.client("s3").put_object(
                Bucket="models", Key=f"parcels/runs/r/bundle/{name}", Body=content
            )
        to = tmp_path / "got"
        assert main.run(["bundle", "get", "--env", "dev", "--to", str(to)]) == 0

    said, told = capsys.readouterr()
    assert said == f"{to}\n"
    assert "parcels, version run-1" in told
    assert "2 files" in told
    assert held(to) == held(folder)


@pytest.mark.parametrize(
    ("pointer", "problem"),
    [({}, "no model has been released"), ({**dict.fromkeys(POINTER, PLACE)}, "there is no manifest.json")],
)
def test_given_nothing_to_fetch_then_it_is_said(here: Session, pointer: dict[str, str], problem: str) -> None:
    with pytest.raises(CliError, match=problem) as refused:
        fetched(here, pointer, {})
    assert "millrace release" in refused.value.remedy


def test_given_a_folder_that_cannot_be_written_to_then_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CliError, match="file") as refused:
        write({"manifest.json": b""}, tmp_path / "file" / "bundle")
    assert refused.value.where == f"--to {tmp_path / 'file' / 'bundle'}"


def test_given_a_bundle_then_it_is_served_and_the_call_to_paste_is_answered_as_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The loop is left out: what it would answer is asked for by another test, in a process of its own."""
    monkeypatch.setattr("uvloop.run", lambda loop: loop.close())

    serve(str(folder), port=0)

    said, told = capfd.readouterr()
    command = said[said.index("curl") :].splitlines()
    curl, url, *rest = shlex.split("\n".join(command).replace("\\\n", ""))
    assert (curl, rest[:3]) == ("curl", ["-H", "Content-Type: application/json", "-d"])
    assert urlsplit(url).path == "/v1/models/parcels/predict"
    core = Core.open(folder)
    assert call_of(url.partition("/v1")[0], core) == "\n".join(command)
    assert answer_of(core) in told
    assert core.predictor is not None
    assert core.predictor.predict(core.predictor.json, rest[3], '"x"').records == 1


@pytest.mark.parametrize(
    ("asked", "problem"),
    [({"workers": 0}, "--workers is `0`"), ({"port": 70000}, "--port is `70000`"), ({}, "no manifest.json")],
)
def test_given_what_cannot_be_served_then_it_is_said(
    tmp_path: Path, asked: dict[str, Any], problem: str
) -> None:
    with pytest.raises(CliError, match=problem):
        serve(str(tmp_path), **asked)


def test_given_texts_with_quotes_then_the_call_can_be_pasted_all_the_same(tmp_path: Path) -> None:
    record = {"depot": "north", "colour": 'painter\'s "blue"; $HOME', "distance": 1}
    core = Core.open(make_bundle(tmp_path, Tiny(examples=(record,))))

    assert json.loads(shlex.split(call_of("http://a", core))[-1]) == {"records": [record]}
