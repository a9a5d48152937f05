"""Packed bodies are unpacked as API Gateway does, or refused."""

from __future__ import annotations

import gzip
import zlib

import pytest

from local.emulator.payloads import unpacked


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_given_a_packed_body_then_it_is_what_was_packed(coding: str, pack: type[bytes]) -> None:
    assert unpacked(pack(b"a" * 5000), coding) == b"a" * 5000


@pytest.mark.parametrize(
    ("body", "coding", "said"),
    [
        (b"{}", "gzip", "not gzip"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", "not whole"),
        (gzip.compress(b" " * 10_000_001, mtime=0), "gzip", "too large"),
        (b"{}", "br", "br is not supported"),
    ],
)
def test_given_a_body_that_is_not_what_it_says_then_it_is_refused(
    body: bytes, coding: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        unpacked(body, coding)
