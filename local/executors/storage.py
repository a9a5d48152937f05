"""Move files between the emulator's S3 and a job's folders, as AWS's services do around a job."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from local.emulator import gateway

Stamp = tuple[int, int]


class MissingDataError(Exception):
    """No object lies under an input's S3 address."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input '
            f"data source. Please ensure that the bucket exists and that objects exist under that S3 prefix."
        )


def split(uri: str) -> tuple[str, str]:
    """``s3://bucket/some/key`` → ``("bucket", "some/key")``."""
    parsed = urlparse(uri)
    if parsed.scheme != "s3" or not parsed.netloc:
        raise ValueError(f"{uri!r} is not an S3 address: write s3://bucket/prefix")
    return parsed.netloc, parsed.path.lstrip("/")


def keys(uri: str) -> list[str]:
    """Keys under ``uri``, in S3's order; folder markers are left out. A missing bucket has none."""
    bucket, prefix = split(uri)
    s3 = gateway.client("s3")
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = [item["Key"] for page in pages for item in page.get("Contents", ())]
    except s3.exceptions.NoSuchBucket:
        return []
    return [key for key in found if not key.endswith("/")]


def relative(key: str, prefix: str) -> str:
    """Where SageMaker puts ``key`` below a channel's folder, for a channel of ``prefix``."""
    folder = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    if key.startswith(folder):
        return key[len(folder) :]
    return key[prefix.rfind("/") + 1 :]


def download(uri: str, folder: Path, share: tuple[int, int] = (0, 1)) -> list[Path]:
    """Fetch what lies under ``uri`` into ``folder`` and return the files.

    ``share`` is (index, count) of hosts among which the objects are dealt out (ShardedByS3Key).
    Raises MissingDataError if nothing lies there.
    """
    bucket, prefix = split(uri)
    found = keys(uri)
    if not found:
        raise MissingDataError(uri)
    index, count = share
    return fetch(bucket, {key: folder / relative(key, prefix) for key in found[index::count]})


def fetch(bucket: str, targets: dict[str, Path]) -> list[Path]:
    """Download each key of ``bucket`` to its file, a few at a time."""
    s3 = gateway.client("s3")

    def one(item: tuple[str, Path]) -> Path:
        key, file = item
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as sink:
            shutil.copyfileobj(s3.get_object(Bucket=bucket, Key=key)["Body"], sink, 1 << 20)
        return file

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, targets.items()))


def put(file: Path, uri: str) -> None:
    """Upload one file. An object appears whole or not at all."""
    bucket, key = split(uri)
    with file.open("rb") as body:
        gateway.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def link(source: Path, target: Path) -> None:
    """Make ``target`` hold the same files as ``source`` without copying their bytes."""
    shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)


def every_file(_: Path) -> bool:
    """Accept any file."""
    return True


@dataclass
class Mirror:
    """Keeps an S3 prefix like a local folder: uploads what is new or changed, deletes what was removed."""

    folder: Path
    uri: str
    accept: Callable[[Path], bool] = every_file
    last: Callable[[Path], bool] = lambda _: False
    """Files that are uploaded after all others, and not by ``push(final=False)``."""
    deletes: bool = False
    _known: dict[Path, Stamp] = field(default_factory=dict)

    def adopt(self) -> None:
        """Take the folder as it is for what S3 holds already."""
        self._known = {path: _stamp(path) for path in self._files()}

    def push(self, *, final: bool = True) -> int:
        """Upload what changed since the last push and return the number of files."""
        changed = [path for path in self._files() if self._known.get(path) != _stamp(path)]
        early = [path for path in changed if not self.last(path)]
        late = [path for path in changed if final and self.last(path)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._upload, early))
        if final and self.deletes:
            self._delete_removed()
        for path in late:
            self._upload(path)
        return len(early) + len(late)

    def _files(self) -> Iterator[Path]:
        return (path for path in sorted(self.folder.rglob("*")) if path.is_file() and self.accept(path))

    def _upload(self, path: Path) -> None:
        stamp = _stamp(path)
        try:
            put(path, self._address(path))
        except FileNotFoundError:  # a temporary file that its writer has renamed meanwhile
            return
        except ClientError:
            if _stamp(path) == stamp:
                raise
            return  # its writer went on, and the checksum is of what it was: the next push has it
        self._known[path] = stamp

    def _address(self, path: Path) -> str:
        return f"{self.uri.rstrip('/')}/{path.relative_to(self.folder).as_posix()}"

    def _delete_removed(self) -> None:
        for path in [path for path in self._known if not path.exists()]:
            bucket, key = split(self._address(path))
            gateway.client("s3").delete_object(Bucket=bucket, Key=key)
            del self._known[path]


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, -1)
    return status.st_mtime_ns, status.st_size
