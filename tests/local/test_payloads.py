"""Packed bodies are unpacked as API Gateway does, or refused."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from local.emulator.payloads import _any_is_any, unpacked


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


@pytest.mark.parametrize(
    ("declared", "binary", "taken"),
    [
        (None, ["*/*"], True),
        ("application/json", ["*/*"], True),
        (None, ["image/png"], False),
        ("image/png", ["image/png"], True),
    ],
)
def test_given_an_api_for_any_binary_then_a_body_that_is_declared_as_nothing_is_binary_too(
    declared: str | None, binary: list[str], taken: bool
) -> None:
    def original(media_type: Any, binary_media_types: Any) -> bool:
        return media_type in binary_media_types

    assert _any_is_any(original)(declared, binary) is taken
