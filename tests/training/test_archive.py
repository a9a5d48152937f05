"""Archives: the same bytes for the same contents, and no way out of the folder."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from training.package.archive import unpack, write_tar_gz, write_zip

MEMBERS = {"b.txt": b"second", "a.txt": b"first"}


@pytest.mark.parametrize("write", [write_zip, write_tar_gz])
def test_equal_contents_are_equal_bytes(
    tmp_path: Path, write: Callable[[Path, dict[str, bytes]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "now", MEMBERS)
    # Another time, another clock, another folder, another user's habits.
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        write(Path("later"), dict(reversed(MEMBERS.items())))
    finally:
        os.umask(before)
    assert (tmp_path / "now").read_bytes() == (tmp_path / "later").read_bytes()


def test_archives_hold_what_was_put_in(tmp_path: Path) -> None:
    write_zip(tmp_path / "it.zip", MEMBERS)
    write_tar_gz(tmp_path / "it.tar.gz", MEMBERS)
    with zipfile.ZipFile(tmp_path / "it.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
        assert archive.getinfo("a.txt").external_attr >> 16 == 0o644, "Lambda's user must be able to read it"
    unpack(tmp_path / "it.tar.gz", tmp_path / "out")
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == MEMBERS


def test_a_member_that_points_outside_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("../evil")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the training job leaves it"):
        unpack(tmp_path / "model.tar.gz", tmp_path)
