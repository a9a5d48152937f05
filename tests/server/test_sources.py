"""Bundles from folders, zips and S3; each file is what the manifest promises, or nothing is served."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.predict.bundle import BundleError
from functions.predict.core import Core
from server import sources
from server.log import Log
from server.metrics import Metrics
from server.sources import Source, load, source_of
from server.watch import Watch
from tests.functions.tiny_bundle import Tiny, make_bundle

Change = Callable[[dict[str, Any]], object]


class ClientError(Exception):
    """What boto3 raises."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class Bucket:
    """As much of boto3's client as is used, over a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.denied = folder, False

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str, Delimiter: str) -> list[dict[str, Any]]:  # noqa: N803
        if self.denied:
            raise ClientError("AccessDenied")
        assert (Bucket, Prefix, Delimiter) == ("models", "good/one/", "/")
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        found = [{"Key": Prefix + file.name, "ETag": str(hash(file.read_bytes()))} for file in files]
        return [{"Contents": found}, {}]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        file = self.folder / Key.removeprefix("good/one/")
        if not file.is_file():
            raise ClientError("NoSuchKey")
        return {"Body": io.BytesIO(file.read_bytes()), "ContentLength": file.stat().st_size}


def zipped(folder: Path, inner: str) -> None:
    with zipfile.ZipFile(f"{folder}.zip", "w") as archive:
        for file in folder.glob("*"):
            archive.write(file, inner + file.name)


Store = Callable[[Path], Source]


def in_folder(folder: Path) -> Source:
    return source_of(str(folder))


def in_layer(folder: Path) -> Source:
    zipped(folder, "bundle/")
    return source_of(f"{folder}.zip")


def in_zip(folder: Path) -> Source:
    zipped(folder, "")
    return source_of(f"{folder}.zip")


def in_bucket(folder: Path) -> Source:
    return source_of("s3://models/good/one", lambda: Bucket(folder))


EVERYWHERE = pytest.mark.parametrize("store", [in_folder, in_layer, in_zip, in_bucket])


@EVERYWHERE
def test_given_a_sound_bundle_then_it_answers_from_wherever_it_lies(tmp_path: Path, store: Store) -> None:
    source = store(make_bundle(tmp_path / "b", Tiny(version="run-7")))

    bundle = load(source)

    assert bundle is not None
    assert bundle.manifest.version == "run-7"
    assert Core.checked("", bundle).workload == "parcels"
    assert source.mark() == source.mark() != ""


@EVERYWHERE
def test_given_no_manifest_then_there_is_no_bundle(tmp_path: Path, store: Store) -> None:
    (tmp_path / "b").mkdir()
    source = store(tmp_path / "b")

    assert load(source) is None
    assert source.mark() == ("" if store in (in_folder, in_bucket) else source.mark())


def extra(manifest: dict[str, Any]) -> None:
    manifest["files"]["notes.md"] = {"sha256": "0" * 64, "bytes": 3}


def elsewhere(manifest: dict[str, Any]) -> None:
    manifest["files"]["../secret"] = {"sha256": "0" * 64, "bytes": 3}


def huge(manifest: dict[str, Any]) -> None:
    manifest["files"]["model.onnx"]["bytes"] = 10**10


def older(manifest: dict[str, Any]) -> None:
    manifest["format"] = 1


@EVERYWHERE
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (extra, "notes.md is missing"),
        (elsewhere, "`../secret`, which leads out of the bundle"),
        (huge, "bytes; at most"),
        (older, "format 1 is not 2"),
    ],
)
def test_given_a_manifest_that_promises_otherwise_then_nothing_is_served(
    tmp_path: Path, store: Store, change: Change, problem: str
) -> None:
    folder = make_bundle(tmp_path / "b")
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(BundleError, match=problem):
        load(store(folder))


@EVERYWHERE
def test_given_a_file_that_has_changed_then_it_is_named_and_nothing_is_served(
    tmp_path: Path, store: Store
) -> None:
    folder = make_bundle(tmp_path / "b")
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1] + b"x")

    with pytest.raises(BundleError, match=r"model\.onnx: its SHA-256 is not the manifest's"):
        load(store(folder))


def test_given_aws_own_answers_then_the_bundle_is_found_or_the_place_at_fault_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    folder = make_bundle(tmp_path, Tiny(version="run-8"))
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="models")
        source, empty = source_of("s3://models/a/b"), source_of("s3://models/a")
        assert (source.mark(), load(source)) == ("", None)
        for file in folder.iterdir():
            s3.upload_file(str(file), "models", f"a/b/{file.name}")

        bundle = load(source)
        assert bundle is not None
        assert bundle.manifest.version == "run-8"
        assert source.mark()
        assert (empty.mark(), load(empty)) == ("", None)
        with pytest.raises(OSError, match="s3://nowhere/b/"):
            source_of("s3://nowhere/b").mark()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"x" * 100])
def test_given_a_zip_that_is_none_then_it_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)

    with pytest.raises(BundleError, match="fetch the bundle again"):
        load(source_of(str(tmp_path / "b.zip")))


@pytest.mark.parametrize(
    "packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_given_a_zip_with_any_byte_changed_then_it_is_refused_or_holds_no_bundle(
    tmp_path: Path, packing: int
) -> None:
    place = tmp_path / "b.zip"
    with zipfile.ZipFile(place, "w", packing) as archive:
        archive.writestr("bundle/manifest.json", '{"format": 1}')
    content = place.read_bytes()

    for at in range(len(content)):
        place.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        with suppress(BundleError):
            assert load(source_of(str(place))) is None


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_given_a_file_that_is_larger_than_it_may_be_then_it_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    folder = make_bundle(tmp_path / "b")
    bucket = Bucket(folder)
    monkeypatch.setattr(sources, "MOST_BYTES", 10_000)
    (folder / name).write_bytes(b" " * 20_000)

    for source in (in_folder(folder), source_of("s3://models/good/one/", lambda: bucket)):
        with pytest.raises(BundleError, match=f"{name} has 20000 bytes; at most 10000"):
            load(source)


class Eye:
    """A watch over a folder, what it has taken over, and what it has said."""

    def __init__(self, source: Source, workload: str = "") -> None:
        self.said: list[dict[str, Any]] = []
        self.metrics = Metrics()
        log = Log(lambda line: self.said.append(json.loads(line)))
        self.watch = Watch(source, workload, log, self.metrics)
        self.taken: list[str] = []

    def take(self, core: Core) -> None:
        assert core.bundle is not None
        self.taken.append(core.bundle.manifest.version)

    def look(self) -> list[str]:
        self.watch.look(self.take)
        return self.taken


def test_given_a_newer_bundle_then_it_is_taken_over_once(tmp_path: Path) -> None:
    eye = Eye(source_of(str(make_bundle(tmp_path))))
    eye.watch.first()

    assert eye.look() == []
    make_bundle(tmp_path, Tiny(version="run-2"))
    assert eye.look() == ["run-2"]
    assert eye.look() == ["run-2"]


def test_given_a_newer_bundle_that_is_broken_then_it_is_refused_once_and_taken_when_mended(
    tmp_path: Path,
) -> None:
    eye = Eye(source_of(str(make_bundle(tmp_path))))
    eye.watch.first()
    newer = make_bundle(tmp_path / "newer", Tiny(version="run-2", bias=1.0))
    (tmp_path / "manifest.json").write_bytes((newer / "manifest.json").read_bytes())

    assert eye.look() == eye.look() == []
    assert eye.metrics.refused == 1
    assert eye.metrics.broken
    (line,) = eye.said
    assert (line["level"], line["message"]) == ("ERROR", "bundle refused")
    assert "model.onnx: its SHA-256" in line["problem"]
    (tmp_path / "model.onnx").write_bytes((newer / "model.onnx").read_bytes())
    assert eye.look() == ["run-2"]
    assert not eye.metrics.broken


def test_given_a_newer_bundle_of_another_workload_then_it_is_refused(tmp_path: Path) -> None:
    eye = Eye(source_of(str(make_bundle(tmp_path))))
    eye.watch.first()
    make_bundle(tmp_path, Tiny(name="boats"))

    assert eye.look() == []
    assert "`boats`" in eye.said[0]["problem"]


def test_given_a_bundle_whose_own_examples_are_refused_then_it_is(tmp_path: Path) -> None:
    eye = Eye(source_of(str(make_bundle(tmp_path))))
    eye.watch.first()
    make_bundle(tmp_path, Tiny(version="run-2"))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["examples"] = [{"record": {"speed": 1}, "probability": 0.5}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert eye.look() == []
    assert "its own examples are refused" in eye.said[0]["problem"]


def test_given_a_bundle_that_is_taken_away_then_the_last_one_serves_on(tmp_path: Path) -> None:
    eye = Eye(source_of(str(make_bundle(tmp_path))))
    eye.watch.first()
    (tmp_path / "manifest.json").unlink()

    assert eye.look() == []
    assert eye.said == []


def test_given_a_place_that_fails_for_a_while_then_it_is_said_and_looked_at_again(tmp_path: Path) -> None:
    bucket = Bucket(make_bundle(tmp_path))
    eye = Eye(source_of("s3://models/good/one/", lambda: bucket))
    eye.watch.first()
    make_bundle(tmp_path, Tiny(version="run-2"))

    bucket.denied = True
    assert eye.look() == []
    assert eye.metrics.refused == 0
    assert "s3://models/good/one/: AccessDenied" in eye.said[0]["problem"]
    bucket.denied = False
    assert eye.look() == ["run-2"]
