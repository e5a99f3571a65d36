"""A provider's answers as they come over a connection, in pieces of any size, on a transport that does nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.upstream import connection as upstream
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection

SIZES = (1, 2, 3, 7, 10_000)
JSON = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Transport:
    written: list[bytes] = field(default_factory=list)
    ended: str = ""
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    unsent: int = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: Sequence[bytes]) -> None:
        self.written += parts

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"
        self.aborted.set()

    def is_closing(self) -> bool:
        return bool(self.ended)

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self.unsent


@dataclass
class Sink:
    heads: list[AnswerHead] = field(default_factory=list)
    raw: bytes = b""
    body: bytes = b""
    ends: int = 0
    broken: str = ""
    switched: bytes | None = None

    def answer_started(self, head: AnswerHead) -> None:
        self.heads.append(head)

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        assert not self.ends
        self.raw += raw
        self.body += b"".join(pieces)
        self.ends += last

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        self.answer_data(raw, (piece,), last=False)

    def answer_broken(self, reason: str) -> None:
        self.broken = reason

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        self.heads.append(head)
        self.switched = rest

    def tunnel_data(self, data: bytes) -> None:
        self.switched = (self.switched or b"") + data

    def upstream_congested(self, *, congested: bool) -> None: ...


@dataclass
class Line:
    """A connection on which a request was sent."""

    head_only: bool = False
    given_back: int = 0

    def __post_init__(self) -> None:
        self.transport, self.sink = Transport(), Sink()
        self.connection = UpstreamConnection(self.give_back)
        self.connection.connection_made(self.transport)  # type: ignore[arg-type]  # as much of one as is used
        self.ask()

    def give_back(self, _: UpstreamConnection) -> None:
        self.given_back += 1

    def ask(self) -> None:
        self.connection.send(self.sink, [b"GET / HTTP/1.1\r\n\r\n"], head_only=self.head_only)

    def receive(self, data: bytes, size: int = 10_000) -> None:
        for place in range(0, len(data), size):
            self.connection.data_received(data[place : place + size])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (JSON, b"body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + JSON, b"body"),
        (CHUNKED + b"0\r\n\r\n", b""),
        (CHUNKED + b"4\r\nbody\r\n0\r\n\r\n", b"body"),
        (CHUNKED + b"1;x=y\r\nb\r\n3\r\nody\r\n0\r\nX: y\r\n\r\n", b"body"),
        (CHUNKED + b"A\r\n0123456789\r\n" * 30 + b"0\r\n\r\n", b"0123456789" * 30),
    ],
)
def test_an_answer_ends_where_its_framing_says(answer: bytes, body: bytes, size: int) -> None:
    line = Line()
    line.receive(answer, size)
    assert (line.sink.body, line.sink.ends, line.sink.broken) == (body, 1, "")
    assert (line.given_back, line.transport.ended) == (1, "")
    assert line.connection.usable
    assert b"4\r\nbody\r\n" not in answer or line.sink.raw == answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("size", range(1, 40))
def test_a_cookie_does_not_come_back_in_a_trailer(size: int) -> None:
    line, kept = Line(), b"X-A:  1\r\nX-B: 2\r\n"
    line.receive(CHUNKED + b"4\r\nbody\r\n0;x\r\nX-A:  1\r\nSet-Cookie: a=b\r\nX-B: 2\r\nConnection: x\r\n\r\n", size)
    assert line.sink.raw == b"4\r\nbody\r\n0;x\r\n" + kept + b"\r\n"
    assert (line.sink.body, line.sink.ends, line.given_back) == (b"body", 1, 1)
    line.sink = Sink()
    line.ask()
    line.receive(CHUNKED + b"0\r\n\r\n", size)
    assert (line.sink.raw, line.sink.ends) == (b"0\r\n\r\n", 1)


def test_the_next_answer_on_the_same_connection() -> None:
    line = Line()
    for number in (1, 2, 3):
        line.receive(JSON)
        assert (line.sink.ends, line.given_back, line.connection.answered) == (1, number, number)
        line.sink = Sink()
        line.ask()


def test_the_answer_to_head_has_no_body() -> None:
    line = Line(head_only=True)
    line.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
    assert (line.sink.ends, line.given_back) == (1, 1)


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_without_a_length_ends_with_the_connection(size: int) -> None:
    line = Line()
    line.receive(b"HTTP/1.1 200 OK\r\n\r\nsome bytes", size)
    assert (line.sink.body, line.sink.ends) == (b"some bytes", 0)
    line.connection.connection_lost(None)
    assert (line.sink.ends, line.sink.broken, line.given_back) == (1, "", 0)


@pytest.mark.parametrize(
    "answer", [JSON + b"more", CHUNKED + b"0\r\n\r\nmore", JSON.replace(b" OK", b" OK\r\nConnection: close")]
)
def test_a_connection_that_said_more_or_goodbye_is_not_used_again(answer: bytes) -> None:
    line = Line()
    line.receive(answer)
    assert (line.sink.ends, b"more" in line.sink.raw, line.given_back, line.transport.ended) == (1, False, 0, "closed")


def test_a_connection_with_part_of_the_request_unsent_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_UNSENT_S", 0.01)

    async def test() -> None:
        line = Line()
        line.transport.unsent = 1
        line.receive(JSON)
        assert (line.sink.ends, line.given_back, line.transport.ended) == (1, 0, "closed")
        await line.transport.aborted.wait()  # the provider may never read the rest

    asyncio.run(asyncio.wait_for(test(), 20))


def test_only_a_connection_that_was_used_and_says_nothing_is_stale() -> None:
    line = Line()
    assert not line.connection.stale
    line.receive(JSON)
    line.ask()
    assert line.connection.stale
    line.receive(b"H")
    assert not line.connection.stale


@pytest.mark.parametrize("error", [None, OSError("reset")])
@pytest.mark.parametrize("answer", [b"", JSON[:10], JSON[:-1], CHUNKED + b"4\r\nbo", CHUNKED + b"4\r\nbody\r\n"])
def test_an_answer_that_is_not_whole_is_broken(answer: bytes, error: Exception | None) -> None:
    line = Line()
    line.receive(answer)
    line.connection.connection_lost(error)
    assert line.sink.broken
    assert (line.sink.ends, line.given_back) == (0, 0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "answer",
    [
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        CHUNKED + b"x\r\n",
        CHUNKED + b"1\r\nab\r\n",
    ],
)
def test_what_is_malformed_ends_the_connection(answer: bytes, size: int) -> None:
    line = Line()
    for place in range(0, len(answer), size):
        if not line.transport.ended:
            line.connection.data_received(answer[place : place + size])
    assert "malformed" in line.sink.broken
    assert line.transport.ended == "aborted"
    assert not line.connection.between_chunks


def test_a_head_without_end_ends_the_connection() -> None:
    line = Line()
    line.receive(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, 70_100)
    assert line.transport.ended == "aborted"
    assert "64 KiB" in line.sink.broken


def test_between_chunks_is_where_an_event_can_be_put_in() -> None:
    line = Line()
    line.receive(CHUNKED + b"4\r\nbody\r\n")
    assert line.connection.between_chunks
    line.receive(b"4\r\nbody\r\n")
    assert line.connection.between_chunks
    line.receive(b"4\r\nbo")
    assert not line.connection.between_chunks


def test_bytes_that_nobody_asked_for_end_the_connection() -> None:
    line = Line()
    line.receive(JSON)
    line.receive(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert line.transport.ended == "aborted"
    assert not line.connection.usable


def test_a_switch_of_protocols_hands_over_all_that_follows() -> None:
    line = Line()
    line.receive(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
    line.receive(b"\x81\x03you")
    assert line.sink.switched == b"\x81\x02hi\x81\x03you"


def test_a_dropped_connection_tells_its_sink_nothing() -> None:
    line = Line()
    line.receive(JSON[:-2])
    line.connection.drop()
    line.connection.connection_lost(None)
    assert (line.sink.ends, line.sink.broken, line.transport.ended) == (0, "", "aborted")
