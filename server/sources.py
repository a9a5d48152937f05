"""Where bundles come from: a folder, a zip, or a prefix in S3. Nothing is written to a disk on the way."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from functions.predict.bundle import (
    MANIFEST,
    Bundle,
    BundleError,
    Manifest,
    Read,
    read_bundle,
    read_file,
    read_manifest,
)

if TYPE_CHECKING:
    from zipfile import ZipFile

MOST_BYTES = 512 * 1024 * 1024
"""The largest file of a bundle that is read: what a Lambda layer's 250 MB could hold, twice."""
INNER = "bundle/"
"""Where a layer's zip holds the bundle."""


class Source(Protocol):
    """A place that holds a bundle, and some day a newer one."""

    name: str

    def mark(self) -> str:
        """Return a text that changes whenever a file of the bundle does; "" where no bundle is.

        Raises OSError or BundleError where it cannot be told.
        """
        ...

    def reader(self) -> Read:
        """Return what reads the bundle's files as they are now. Raises OSError or BundleError."""
        ...


def source_of(place: str, s3: Callable[[], Any] | None = None) -> Source:
    """Return the source that ``place`` names: s3://bucket/prefix/, a .zip, else a folder."""
    if place.startswith("s3://"):
        return Bucket(place, s3 or _client)
    return Archive(Path(place)) if place.endswith(".zip") else Folder(Path(place))


def load(source: Source) -> Bundle | None:
    """Open the bundle of ``source`` once every file of its manifest is what the manifest promises.

    None where there is no manifest. Raises BundleError with the file at fault, OSError where the place fails.
    """
    held = fetch(source)
    return read_bundle(source.name, held.__getitem__) if held else None


def fetch(source: Source) -> dict[str, bytes]:
    """Return the manifest, first, and every file that it promises; nothing where there is no manifest.

    Raises as ``load`` does.
    """
    read = source.reader()
    try:
        content = read(MANIFEST)
    except FileNotFoundError:
        return {}
    manifest = read_manifest(source.name, content)
    return {MANIFEST: content} | verified(source.name, manifest, read)


def verified(place: str, manifest: Manifest, read: Read) -> dict[str, bytes]:
    """Return every file that the manifest names. Raises BundleError where one is not what it promises."""
    held = {}
    for name, promised in manifest.files.items():
        if not _is_plain(name):
            raise BundleError(
                f"{place}: manifest.json names the file `{name}`, which leads out of the bundle"
            )
        _check_size(place, name, promised.bytes)
        held[name] = read_file(place, manifest, name, read)
    return held


def _check_size(place: str, name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise BundleError(f"{place}: {name} has {size} bytes; at most {MOST_BYTES} are read")


def _is_plain(name: str) -> bool:
    """Whether ``name`` is that of a file beside the manifest."""
    return bool(name) and not set(name) & set("/\\\0:") and name not in (".", "..")


class Folder:
    """A folder on this machine."""

    def __init__(self, place: Path) -> None:
        self._place, self.name = place, str(place)

    def mark(self) -> str:
        """Return names, sizes and times of the folder's files."""
        if not (self._place / MANIFEST).is_file():
            return ""
        stats = ((file.name, file.stat()) for file in sorted(self._place.iterdir()) if file.is_file())
        return _digest({name: (stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats})

    def reader(self) -> Read:
        """Return what reads the folder's files."""
        return self._read

    def _read(self, name: str) -> bytes:
        file = self._place / name
        if not file.is_file():  # a pipe would be waited for, a device read for ever
            raise FileNotFoundError(file)
        _check_size(self.name, name, file.stat().st_size)
        return file.read_bytes()


class Archive:
    """A zip on this machine: a model's layer, or what `millrace bundle get` fetched."""

    def __init__(self, place: Path) -> None:
        self._place, self.name = place, str(place)

    def mark(self) -> str:
        """Return the file's size and time."""
        if not self._place.is_file():
            return ""
        stat = self._place.stat()
        return _digest({self.name: (stat.st_size, stat.st_mtime_ns, stat.st_ino)})

    def reader(self) -> Read:
        """Read the file, and return what reads its members."""
        try:
            content = self._place.read_bytes()
        except FileNotFoundError:
            return _nothing
        from zipfile import ZipFile  # noqa: PLC0415 - a folder does without it

        try:
            archive = ZipFile(io.BytesIO(content))
        except Exception as error:  # of many kinds, for it is read by no grammar; all of it is in memory
            raise BundleError(f"{self.name}: {error}; fetch the bundle again") from error
        inner = INNER if INNER + MANIFEST in archive.namelist() else ""
        return lambda name: self._member(archive, inner + name)

    def _member(self, archive: ZipFile, name: str) -> bytes:
        try:
            member = archive.getinfo(name)
        except KeyError:
            raise FileNotFoundError(name) from None
        _check_size(self.name, name, member.file_size)
        try:
            with archive.open(member) as opened:
                return opened.read(member.file_size)
        except Exception as error:  # of as many kinds as there are ways to pack
            raise BundleError(f"{self.name}: {name}: {error}; fetch the bundle again") from error


class Bucket:
    """A prefix in S3, read with the credentials that boto3 finds."""

    def __init__(self, place: str, client: Callable[[], Any]) -> None:
        self._bucket, _, prefix = place.removeprefix("s3://").partition("/")
        self._prefix = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        self.name = f"s3://{self._bucket}/{self._prefix}"
        self._make = client
        self._client: Any = None

    def mark(self) -> str:
        """Return names and entity tags of the objects beside the manifest."""
        with _told(self.name):
            pages = self._s3().get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self._bucket, Prefix=self._prefix, Delimiter="/")
            tags = {each["Key"]: each["ETag"] for page in found for each in page.get("Contents", ())}
        return _digest(tags) if self._prefix + MANIFEST in tags else ""

    def reader(self) -> Read:
        """Return what fetches objects."""
        return self._fetch

    def _fetch(self, name: str) -> bytes:
        with _told(f"{self.name}{name}"):
            answer = self._s3().get_object(Bucket=self._bucket, Key=self._prefix + name)
            _check_size(self.name, name, answer.get("ContentLength", 0))
            content: bytes = answer["Body"].read()
        return content

    def _s3(self) -> Any:
        if self._client is None:
            self._client = self._make()
        return self._client


@contextmanager
def _told(place: str) -> Iterator[None]:
    """Turn what boto3 raises into FileNotFoundError, or OSError with the place at fault."""
    try:
        yield
    except Exception as error:
        code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code", "")
        if code == "NoSuchKey":
            raise FileNotFoundError(place) from error
        if code or type(error).__module__.startswith(("botocore", "boto3", "urllib3")):
            raise OSError(f"{place}: {error}") from error
        raise


def _client() -> Any:
    import boto3  # noqa: PLC0415 - a fifth of a second, which a folder does without
    from botocore.config import Config  # noqa: PLC0415

    config = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
    return boto3.client("s3", config=config)


def _nothing(name: str) -> bytes:
    raise FileNotFoundError(name)


def _digest(facts: Mapping[str, Any]) -> str:
    return sha256(repr(sorted(facts.items())).encode()).hexdigest()
