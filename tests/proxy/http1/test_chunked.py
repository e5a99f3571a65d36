"""Chunked bodies, in any pieces."""

import pytest

from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, ChunkedReader, MalformedChunkError, chunk

BODY = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"


@pytest.mark.parametrize("step", range(1, len(BODY) + 1))
def test_every_split_reads_the_same(step: int) -> None:
    reader, pieces, consumed = ChunkedReader(), list[bytes](), 0
    for place in range(0, len(BODY), step):
        consumed += reader.feed(BODY[place : place + step], pieces)
    assert b"".join(pieces) == b"abc0123456789"
    assert reader.trailers == [b"X-A: 1", b"X-B: 2"]
    assert (reader.done, consumed) == (True, len(BODY))


def test_what_follows_is_left_alone() -> None:
    reader, pieces = ChunkedReader(), list[bytes]()
    assert reader.feed(b"1\r\na\r\n" + LAST_CHUNK + b"GET / HTTP/1.1", pieces) == 11
    assert reader.done
    assert reader.feed(b"more", pieces) == 0


def test_between_chunks() -> None:
    reader = ChunkedReader()
    states = []
    for data in (b"", b"2", b"\r\n", b"a", b"b", b"\r", b"\n", b"0\r\n"):
        reader.feed(data, [])
        states.append(reader.between_chunks)
    assert states == [True, False, False, False, False, False, True, False]


MALFORMED = [
    b"\r\n", b"x\r\n", b"+1\r\na", b"0x1\r\n", b" 1\r\n", b"1 \r\na", b"1\na", b"123456789\r\n", b"1\r\nab\r\n",
    b"1\r\na\n", b"1\r\naX\r\n", b"1;\x01\r\n", b"1" * 5000, b"0\r\n X: 1\r\n", b"0\r\nX : 1\r\n", b"0\r\nX\r\n",
    b"-1\r\n", b"0\r\n" + b"X: 1\r\n" * 5000,
]  # fmt: skip


def read(body: bytes, step: int) -> None:
    reader = ChunkedReader()
    for place in range(0, len(body), step):
        reader.feed(body[place : place + step], [])


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_malformed_bodies(body: bytes, step: int) -> None:
    with pytest.raises(MalformedChunkError):
        read(body, step)


def test_no_chunk_is_made_of_nothing() -> None:
    assert chunk(b"") == b""
    assert chunk(bytes(17)) == b"11\r\n" + bytes(17) + b"\r\n"
