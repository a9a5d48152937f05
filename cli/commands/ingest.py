"""`millrace ingest`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.console import Activity, Voice, bytes_text
from cli.outputs import outputs
from cli.raw_tables import RawFile, Sealed, check, find, installed, sealed, upload
from cli.session import session

if TYPE_CHECKING:
    from cli.session import Session


def ingest(*, env: str | None = None, workload: str | None = None, from_: Path | None = None) -> None:
    """Check the headers of the workload's raw tables against the contract, then upload the tables.

    A zip is unpacked on the way. A file that lies there already with the same content is left alone.

    :param env: the environment; MILLRACE_ENV or local, if not given
    :param workload: the workload; not needed where the environment has one
    :param from: the folder with the raw files; the contract's own source, if not given
    """
    here, voice = session(env, workload), Voice()
    tables = here.contract.tables
    files = find(tables, from_ or installed(here.contract.source))
    bucket = outputs(here, ("lake_bucket",))["lake_bucket"]
    for file in files:
        check(file, tables[file.table])
    # All of them are read to their ends before the first goes: a bad one must not leave a mixture behind.
    with voice.busy("reading the tables"):
        tables_read = [sealed(file) for file in files]
    voice.say(f"{len(files)} tables have the columns of the contract; uploading to s3://{bucket}")
    send(here, voice, tables_read, bucket)


def send(here: Session, voice: Voice, files: Sequence[Sealed], bucket: str) -> None:
    """Upload ``files`` one after the other, and show how many bytes have gone."""
    total, gone = sum(each.file.size for each in files), 0
    with voice.busy("uploading") as activity:
        for each in files:
            file = each.file
            key = f"{here.workload}/raw/{file.table}/{file.name}"
            sent = counter(activity, file, gone, total)
            uploaded = upload(here.client("s3"), each, bucket, key, sent)
            gone += file.size
            verb = "uploaded" if uploaded else "is there already"
            voice.say(f"{file.table:<12}{verb} ({bytes_text(file.size)}) as s3://{bucket}/{key}")
    voice.say(f"{len(files)} tables, {bytes_text(total)}. Next: millrace train{here.flags}")


def counter(activity: Activity, file: RawFile, before: int, total: int) -> Callable[[int], None]:
    """Make a callback that adds up the bytes of ``file`` and shows them, with a bar over all files."""
    gone = before

    def sent(count: int) -> None:
        nonlocal gone
        gone += count
        share = f"{bytes_text(gone)} of {bytes_text(total)}"
        activity.text = f"{bar(gone / max(total, 1))} {share} · {file.table}"

    return sent


def bar(share: float, width: int = 24) -> str:
    """Draw a share (0–1) as a bar."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "█" * full + "░" * (width - full)
