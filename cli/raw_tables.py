"""Raw tables as they arrive: found, unzipped, checked against the contract, uploaded."""

from __future__ import annotations

import codecs
import csv
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cli.errors import CliError

if TYPE_CHECKING:
    from contract.schema import Source, Table

CHUNK = 1 << 20
SOUND = "replace it by a sound zip without a password, or by the CSV file itself"
UNSOUND = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)
"""What opening and unpacking raise; a RuntimeError asks for a password or an unknown compression."""


@dataclass(frozen=True)
class RawFile:
    """The file of one raw table: plain CSV, or the ``member`` of a zip."""

    table: str
    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """Name under which it is uploaded: the same whatever a zip calls its CSV, or two would lie there."""
        return self.path.name.removesuffix(".zip")

    @property
    def place(self) -> str:
        """Where it lies, for messages."""
        return f"{self.path} ({self.member})" if self.member else str(self.path)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the CSV itself, out of the zip where it is in one."""
        if not self.member:
            with self.path.open("rb") as file:
                yield file
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
            yield file

    @property
    def size(self) -> int:
        """Bytes of the CSV itself."""
        if not self.member:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).file_size


def installed(source: Source) -> Path:
    """Find the folder of the data files inside an installed distribution, without importing it.

    Raises `CliError` where the contract names no distribution, or it is not installed.
    """
    if source.distribution is None:
        remedy = "name a folder: --from FOLDER"
        raise CliError("the contract names no distribution to read", "[source]", remedy)
    try:
        files = metadata.files(source.distribution) or []
    except metadata.PackageNotFoundError as error:
        problem = f"the distribution {source.distribution} is not installed"
        remedy = f"install it: pip install {source.distribution}, or name a folder: --from FOLDER"
        raise CliError(problem, "[source]", remedy) from error
    folders = {Path(str(file.locate())).parent for file in files if file.parent.as_posix() == source.folder}
    if not folders:
        problem = f"the distribution {source.distribution} has no files in {source.folder}"
        raise CliError(problem, "[source] folder", "correct the folder in contract.toml")
    return folders.pop()


def find(tables: Mapping[str, Table], folder: Path) -> list[RawFile]:
    """Find the file of every table in ``folder`` or in its sub-folder ``<table>``, zipped or not.

    Raises `CliError` that names every table without a file.
    """
    found, missing = [], []
    for name, table in tables.items():
        choices = (table.file, table.file.removesuffix(".zip"), f"{table.file}.zip")
        places = [place / choice for place in (folder, folder / name) for choice in choices]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            missing.append(f"table {name}: no file {table.file} or {name}/{table.file}")
        else:
            found.append(RawFile(name, path, member(path) if path.suffix == ".zip" else ""))
    if missing:
        raise CliError("\n".join(missing), str(folder), "put the files there, or name another folder: --from")
    return found


def member(path: Path) -> str:
    """Give the one CSV file in a zip.

    Raises `CliError` where it is no zip, or holds none or several.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
    except zipfile.BadZipFile as error:
        raise CliError(str(error), str(path), SOUND) from error
    names = [name for name in inside if name.endswith(".csv") and "__MACOSX" not in name]
    if len(names) != 1:
        problem = f"it holds {len(names)} CSV files ({', '.join(names) or 'none'}), where one is expected"
        raise CliError(problem, str(path), "put one CSV file into it, or the file itself beside it")
    return names[0]


def header(file: RawFile) -> list[str]:
    """Read the column names of a CSV file."""
    with reading(file) as stream:
        first = stream.readline(CHUNK).decode("utf-8-sig")
        return next(csv.reader([first]), [])


def check_header(columns: Sequence[str], expected: Sequence[str]) -> list[str]:
    """Compare a header with the contract's columns; give what is wrong, a line each, or nothing.

    The order of columns is free; a missing, an unexpected and a repeated column are faults.
    """
    faults = []
    if lacking := [name for name in expected if name not in columns]:
        faults.append(f"missing columns: {', '.join(lacking)}")
    if foreign := [name for name in columns if name not in expected]:
        faults.append(f"unexpected columns: {', '.join(foreign)}")
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        faults.append(f"repeated columns: {', '.join(repeated)}")
    return faults


def check(file: RawFile, table: Table) -> None:
    """Raise `CliError` where the file's header is not what the contract says of its table."""
    faults = check_header(header(file), list(table.columns))
    if faults:
        remedy = f"correct the file, or [tables.{file.table}.columns] in contract.toml"
        raise CliError("\n".join(faults), f"table {file.table}, header of {file.place}", remedy)


def digest(file: RawFile) -> str:
    """Give the SHA-256 of a CSV file's content, in hex.

    Raises `CliError` where it is not UTF-8 to its end: Spark would read other texts than are meant.
    """
    total, text = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")()
    with reading(file) as stream:
        while chunk := stream.read(CHUNK):
            total.update(chunk)
            text.decode(chunk)
        text.decode(b"", final=True)
    return total.hexdigest()


@contextmanager
def reading(file: RawFile) -> Iterator[IO[bytes]]:
    """Open a CSV file to be read as text.

    Raises `CliError` where it is none: in another encoding, or in a zip that cannot be unpacked.
    """
    try:
        with file.open() as stream:
            yield stream
    except UnicodeDecodeError as error:
        byte = error.object[error.start : error.start + 1]
        raise CliError(f"it is not UTF-8 text: {byte!r}", file.place, "save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise CliError(f"it has no header of columns: {error}", file.place, "is it a CSV file?") from error
    except UNSOUND as error:
        raise CliError(str(error), file.place, SOUND) from error


@dataclass(frozen=True)
class Sealed:
    """A file that was read to its end, and the digest under which it is known again."""

    file: RawFile
    sha256: str


def sealed(file: RawFile) -> Sealed:
    """Read a file to its end; raises as `digest` does."""
    return Sealed(file, digest(file))


def upload(s3: Any, table: Sealed, bucket: str, key: str, sent: Callable[[int], None]) -> bool:
    """Upload a file unless the same content lies there already; say whether it was uploaded.

    ``sent`` is called with the bytes of every part that has gone. The bucket's default key encrypts it.
    """
    file, sha256 = table.file, table.sha256
    if stored(s3, bucket, key) == sha256:
        return False
    with file.open() as stream:
        extra = {"Metadata": {"sha256": sha256}, "ContentType": "text/csv"}
        s3.upload_fileobj(stream, bucket, key, ExtraArgs=extra, Callback=sent)
    return True


def stored(s3: Any, bucket: str, key: str) -> str | None:
    """Give the SHA-256 with which a file was uploaded; None where there is none."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - help does without it

    try:
        held = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return None
        raise
    return str(held["Metadata"].get("sha256", ""))
