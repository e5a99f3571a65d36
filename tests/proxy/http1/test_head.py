"""Heads, read strictly."""

import pytest

from meshproxy_cli.proxy.http1.head import (
    CHUNKED,
    MalformedHeadError,
    check_partial_head,
    read_answer_head,
    read_request_head,
)


def request(*fields: bytes, line: bytes = b"POST /v1 HTTP/1.1") -> bytes:
    return b"\r\n".join([line, b"Host: h", *fields, b"", b""])


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def test_a_requests_head() -> None:
    head = read_request_head(request(b"X-A:  one\t", b"x-a: two", b"Content-Length: 007"))
    assert (head.method, head.target, head.minor, head.length) == (b"POST", b"/v1", 1, 7)
    assert head.names == [b"host", b"x-a", b"x-a", b"content-length"]
    assert head.lines[1] == b"X-A:  one\t"
    assert (head.value(b"x-a"), head.values(b"x-a")) == (b"two", b"one, two")
    assert (head.value(b"none"), head.values(b"none")) == (b"", b"")


@pytest.mark.parametrize(
    ("fields", "line", "keeps"),
    [
        ((), b"GET / HTTP/1.1", True),
        ((b"Connection: close",), b"GET / HTTP/1.1", False),
        ((b"Connection: keep-alive, Close",), b"GET / HTTP/1.1", False),
        ((b"Connection: keep-alive", b"connection: close"), b"GET / HTTP/1.1", False),
        ((), b"GET / HTTP/1.0", False),
    ],
)
def test_keep_alive(fields: tuple[bytes, ...], line: bytes, keeps: bool) -> None:  # noqa: FBT001 (pytest's parameter)
    assert read_request_head(request(*fields, line=line)).keeps_alive is keeps


@pytest.mark.parametrize(
    ("fields", "line", "length"),
    [
        ((b"Content-Length: 5",), b"HTTP/1.1 200 OK", 5),
        ((b"Transfer-Encoding: Chunked",), b"HTTP/1.1 200 OK", CHUNKED),
        ((), b"HTTP/1.1 200", None),
        ((), b"HTTP/1.0 502 B\xe4d", None),
    ],
)
def test_an_answers_head(fields: tuple[bytes, ...], line: bytes, length: int | None) -> None:
    assert read_answer_head(answer(*fields, line=line)).length == length


@pytest.mark.parametrize(
    "block",
    [
        answer(line=b"HTTP/2 200 OK"),
        answer(line=b"HTTP/1.1 2000 OK"),
        answer(line=b"HTTP/1.1  200 OK"),
        answer(line=b"ICY 200 OK"),
        answer(b"Content-Length: 5", b"Content-Length: 6"),
        answer(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        answer(b"Transfer-Encoding: gzip, chunked"),
        answer(b"Content-Length: -1"),
        answer(b"X : 1"),
        answer(b"X: a\x00"),
        answer(b"X: 1", b" folded"),
        answer().replace(b"\r\n", b"\n"),
        answer(b"X: " + b"a" * 70_000),
    ],
)
def test_answers_of_two_readings(block: bytes) -> None:
    with pytest.raises(MalformedHeadError):
        read_answer_head(block)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"GET /\rX", b"a" * 70_000])
def test_what_cannot_become_a_head(data: bytes) -> None:
    with pytest.raises(MalformedHeadError):
        check_partial_head(data)


def test_what_can() -> None:
    for end in range(len(request())):
        check_partial_head(request()[:end])


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\rX", b"A\r\nB\n"])
def test_a_head_in_pieces_is_checked_where_it_is_new(data: bytes) -> None:
    bad = max(data.rfind(b"\n"), data.rfind(b"X"))
    check_partial_head(data[:bad])
    with pytest.raises(MalformedHeadError):
        check_partial_head(data, bad)
