"""Archives: written so that equal contents are equal bytes, read so that they cannot reach outside."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

_FIRST_YEAR = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_MODE = 0o644


def write_zip(file: Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` (name in the archive → content) to ``file``, sorted and without a clock."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _FIRST_YEAR)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever this runs: the permissions below mean something
            entry.external_attr = _MODE << 16
            archive.writestr(entry, members[name])


def write_tar_gz(file: Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` (name in the archive → content) to ``file``, sorted and without a clock."""
    with (
        file.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(members[name]), _MODE
            archive.addfile(entry, io.BytesIO(members[name]))


def unpack(file: Path, folder: Path) -> None:
    """Unpack a tar archive into ``folder``; tarfile's filter ``data`` refuses whatever points outside."""
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; the training job leaves it when it succeeds")
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
