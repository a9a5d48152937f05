"""What carries a job's folder to S3 while the job still writes there."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.executors import storage
from local.executors.storage import Mirror

REFUSED = ClientError({"Error": {"Code": "BadDigest", "Message": "another checksum"}}, "PutObject")


def test_given_a_file_that_is_written_while_it_is_uploaded_then_the_next_push_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, uploaded = tmp_path / "epoch-1.pt", dict[str, bytes]()
    file.write_bytes(b"half")

    def interrupted(path: Path, uri: str) -> None:
        path.write_bytes(b"half and half")
        raise REFUSED

    def whole(path: Path, uri: str) -> None:
        uploaded[uri] = path.read_bytes()

    mirror = Mirror(tmp_path, "s3://bucket/checkpoints")
    monkeypatch.setattr(storage, "put", interrupted)
    mirror.push()
    monkeypatch.setattr(storage, "put", whole)
    mirror.push()

    assert uploaded == {"s3://bucket/checkpoints/epoch-1.pt": b"half and half"}


def test_given_a_file_at_rest_that_s3_refuses_then_that_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "epoch-1.pt").write_bytes(b"whole")

    def refused(path: Path, uri: str) -> None:
        raise REFUSED

    monkeypatch.setattr(storage, "put", refused)

    with pytest.raises(ClientError, match="BadDigest"):
        Mirror(tmp_path, "s3://bucket/checkpoints").push()
