"""Where an answer ends, and what it says."""

import pytest

from benchmarks.servers.http import Answer, HttpError, answer, post

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH: 7\r\n\r\n[1, 2]\n"
CHUNKED = b"HTTP/1.1 422 Oh\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "whole"),
    [(SIZED, Answer(200, b"[1, 2]\n")), (CHUNKED, Answer(422, b"abcdefgh"))],
    ids=["sized", "chunked"],
)
def test_given_any_part_of_an_answer_when_read_then_it_is_there_only_once_it_is_whole(
    data: bytes, whole: Answer
) -> None:
    assert [answer(data[:size]) for size in range(len(data))] == [None] * len(data)
    assert answer(data) == whole


def test_an_answer_without_a_body_ends_with_its_head() -> None:
    assert answer(b"HTTP/1.1 204 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") == Answer(
        204, b"", closes=True
    )


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n"]
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(HttpError):
        answer(data)


def test_a_request_tells_its_length_and_where_it_goes() -> None:
    head, _, body = post("/predict", b"{}", {"Content-Type": "application/json"}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict HTTP/1.1\r\nHost: ")
    assert {b"Content-Length: 2", b"Content-Type: application/json"} <= set(head.split(b"\r\n"))
    assert body == b"{}"
