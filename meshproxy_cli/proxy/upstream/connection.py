"""The provider's side: one protocol object per connection, which follows the framing of answers and hands them on."""

import asyncio
import enum
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from meshproxy_cli.proxy.http1.chunked import ChunkedReader, MalformedChunkError, whole_chunk
from meshproxy_cli.proxy.http1.head import CHUNKED, MAX_HEAD_BYTES, AnswerHead, MalformedHeadError, read_answer_head
from meshproxy_cli.proxy.request.forwarded_headers import returned_trailers

_SWITCHING = 101
_INFORMATIONAL = 200  # below it an answer is not the final one
_BODYLESS = frozenset({204, 304})
_UNSENT_S = 5.0


class Sink(Protocol):
    """Who gets an answer."""

    def answer_started(self, head: AnswerHead) -> None:
        """Take the final answer's head."""

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        """Take body bytes: `raw` with their framing as they came, `pieces` without."""

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        """Take one whole chunk: `answer_data(raw, (piece,), last=False)`, quickly."""

    def answer_broken(self, reason: str) -> None:
        """Learn that the connection ended, or that what came is no HTTP; nothing follows."""

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Learn that the provider switched protocols; what follows comes to `tunnel_data`."""

    def tunnel_data(self, data: bytes) -> None: ...

    def upstream_congested(self, *, congested: bool) -> None:
        """Learn that bytes to the provider pile up, or flow again."""


class _Phase(enum.Enum):
    IDLE = enum.auto()
    HEAD = enum.auto()
    COUNTED = enum.auto()
    CHUNKED = enum.auto()
    UNTIL_CLOSE = enum.auto()
    TUNNEL = enum.auto()


# Looked up for every piece of an answer: an enumeration's members are not cheap to reach.
_IDLE, _HEAD, _COUNTED, _CHUNKED, _UNTIL_CLOSE, _TUNNEL = _Phase


class UpstreamConnection(asyncio.Protocol):
    """A connection to a provider: idle in the pool, or answering one request."""

    __slots__ = (
        "_bodyless",
        "_buffer",
        "_chunks",
        "_give_back",
        "_heard",
        "_keep",
        "_need",
        "_phase",
        "_sink",
        "answered",
        "idle_since",
        "transport",
    )  # fmt: skip

    def __init__(self, give_back: Callable[["UpstreamConnection"], None]) -> None:
        self._give_back = give_back
        self._sink: Sink | None = None
        self._phase = _IDLE
        self._buffer = b""
        self._need = 0
        self._chunks: ChunkedReader | None = None
        self._keep = False
        self._bodyless = False
        self._heard = False  # whether anything came of the answer that is waited for
        self.answered = 0  # requests
        self.idle_since = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self._phase is _IDLE and not self.transport.is_closing()

    @property
    def stale(self) -> bool:
        """Whether it was used before and nothing came this time: the provider had closed it, it seems."""
        return self.answered > 0 and not self._heard

    @property
    def between_chunks(self) -> bool:
        """Whether what has come of a chunked answer ends with a whole chunk."""
        return self._chunks is not None and self._chunks.between_chunks

    def send(self, sink: Sink, parts: Sequence[bytes], *, head_only: bool = False) -> None:
        """Send a whole request; the answer comes to `sink`. `head_only`: the answer to HEAD has no body."""
        self._sink = sink
        self._phase = _HEAD
        self._heard = False
        self._bodyless = head_only
        if len(parts) == 1:
            self.transport.write(parts[0])
        else:
            self.transport.writelines(parts)

    def hand_over(self, sink: Sink) -> None:
        """Let another sink have what follows."""
        self._sink = sink

    def write(self, data: bytes) -> None:
        """Send bytes as they are, once switched to another protocol."""
        self.transport.write(data)

    def drop(self) -> None:
        """End the connection now; the sink hears nothing more."""
        self._sink = None
        self._phase = _IDLE
        self.transport.abort()

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_congested(congested=True)

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_congested(congested=False)

    def data_received(self, data: bytes) -> None:
        sink, chunks = self._sink, self._chunks
        if sink is None:
            self.transport.abort()  # nothing was asked: a late error, or worse
            return
        try:
            if chunks is not None:
                if chunks.between_chunks and (piece := whole_chunk(data)):
                    sink.answer_piece(data, piece)
                    return
                pieces: list[bytes] = []
                consumed = chunks.feed(data, pieces)
                if chunks.done:
                    self._keep = self._keep and consumed == len(data)
                    self._last_chunk(sink, data[: chunks.trailers_at], pieces, chunks.trailers)
                elif chunks.trailers_at < 0:
                    sink.answer_data(data, pieces, last=False)
                else:
                    sink.answer_data(data[: chunks.trailers_at], pieces, last=False)
            elif self._phase is _HEAD:
                self._heard = True
                self._head(sink, self._buffer + data if self._buffer else data)
            elif self._phase is _TUNNEL:
                sink.tunnel_data(data)
            else:
                self._plain(sink, data)
        except (MalformedHeadError, MalformedChunkError) as problem:
            self._fail(f"the provider's answer is malformed: {problem}")

    def _last_chunk(self, sink: Sink, raw: bytes, pieces: list[bytes], trailers: list[bytes]) -> None:
        self._done()
        sink.answer_data(b"%b%b\r\n" % (raw, returned_trailers(trailers)), pieces, last=True)

    def eof_received(self) -> None:
        """Close: a provider that stops sending is done."""

    def connection_lost(self, exc: Exception | None) -> None:
        sink = self._sink
        if sink is None:
            return
        self._sink = None
        if self._phase is _UNTIL_CLOSE and exc is None:
            sink.answer_data(b"", (), last=True)
        else:
            sink.answer_broken("the provider closed the connection" if exc is None else f"connection lost: {exc}")

    def _fail(self, reason: str) -> None:
        sink, self._sink = self._sink, None
        self._chunks = None  # it is not known where a chunk ends, so nothing can be put in
        self.transport.abort()
        if sink is not None:
            sink.answer_broken(reason)

    def _head(self, sink: Sink, data: bytes) -> None:
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > MAX_HEAD_BYTES:
                    raise MalformedHeadError("its header block is larger than 64 KiB")
                self._buffer = data
                return
            head = read_answer_head(data[: end + 4])
            data = data[end + 4 :]
            if head.status == _SWITCHING:
                self._buffer = b""
                self._phase = _TUNNEL
                sink.upgraded(head, data)
                return
            if head.status >= _INFORMATIONAL:
                break
        self._buffer = b""
        self._begin(sink, head, data)

    def _begin(self, sink: Sink, head: AnswerHead, data: bytes) -> None:
        self._keep = head.keeps_alive
        if self._bodyless or head.status in _BODYLESS:
            self._phase, self._need = _COUNTED, 0
        elif head.length is None:
            self._phase, self._keep = _UNTIL_CLOSE, False
        elif head.length == CHUNKED:
            self._phase, self._chunks = _CHUNKED, ChunkedReader()
        else:
            self._phase, self._need = _COUNTED, head.length
        sink.answer_started(head)
        if self._sink is not sink:
            return  # it did not want this answer
        if self._phase is _CHUNKED:
            self.data_received(data)
        else:
            self._plain(sink, data)

    def _plain(self, sink: Sink, data: bytes) -> None:
        if self._phase is _UNTIL_CLOSE:
            sink.answer_data(data, (data,), last=False)
            return
        need = self._need
        if len(data) < need:
            self._need = need - len(data)
            sink.answer_data(data, (data,), last=False)
            return
        if len(data) > need:
            self._keep = False
            data = data[:need]
        self._done()
        sink.answer_data(data, (data,), last=True)

    def _done(self) -> None:
        """Part from the request before its end is passed on: what follows belongs to another one."""
        self._sink = None
        self._phase = _IDLE
        self._chunks = None
        self.answered += 1
        if self._keep and not self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self.transport.resume_reading()
            self._give_back(self)
            return
        self.transport.close()
        if self.transport.get_write_buffer_size():  # of a provider that may never read the rest
            asyncio.get_running_loop().call_later(_UNSENT_S, self.transport.abort)
