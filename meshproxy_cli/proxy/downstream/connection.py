"""The client's side: one protocol object per connection, which reads requests one after another.

A connection is HEAD → BODY → ANSWER → HEAD again; TUNNEL once it switched to a websocket; CLOSING while what the client
still sends is thrown away, so that it can read the last answer.
"""

import asyncio
import enum
import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, cast

from meshproxy_cli.proxy.core.errors import Reader, Refusal, render
from meshproxy_cli.proxy.core.ids import new_request_id
from meshproxy_cli.proxy.http1.chunked import ChunkedReader, MalformedChunkError
from meshproxy_cli.proxy.http1.head import (
    CHUNKED,
    MalformedHeadError,
    RequestHead,
    check_partial_head,
    read_request_head,
)
from meshproxy_cli.proxy.request.lifecycle import Exchange

if TYPE_CHECKING:
    from meshproxy_cli.proxy.core.handler import Handler
    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.request.prepared import Prepared

_PIPELINED_BYTES = 64 * 1024
_WRITE_BUFFER_BYTES = 64 * 1024
_CLOSING_S = 2.0
_RESET = struct.pack("ii", 1, 0)  # linger for no time


class _Phase(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    ANSWER = enum.auto()
    TUNNEL = enum.auto()
    CLOSING = enum.auto()


# Looked up for every request: an enumeration's members are not cheap to reach.
_HEAD, _BODY, _ANSWER, _TUNNEL, _CLOSING = _Phase


class ClientConnection(asyncio.Protocol):
    """A client's connection."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_congested",
        "_gateway",
        "_handler",
        "_keep",
        "_last",
        "_need",
        "_phase",
        "_seen",
        "_since",
        "_unsent",
        "peer",
        "transport",
    )

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._phase = _HEAD
        self._buffer = b""
        self._seen = 0  # how much of the buffer was looked through for the end of a head
        self._handler: Handler | None = None
        self._last: Prepared | None = None  # the latest head for a provider
        self._chunks: ChunkedReader | None = None
        self._need = 0
        self._keep = True
        self._congested = False  # whether answers pile up that the client does not read
        self._unsent = 0  # bytes of the last answer, when it was looked at
        self._since = 0.0  # the loop's time at which it began to wait for the client
        self.transport: asyncio.Transport

    @property
    def request_id(self) -> str:
        """The id of the request that is under way, "" where there is none."""
        return getattr(self._handler, "request_id", "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._since = monotonic()
        self._gateway.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._gateway.connections.discard(self)
        handler, self._handler = self._handler, None
        self._phase = _CLOSING
        if handler is not None:
            handler.client_gone()

    def eof_received(self) -> None:
        """Close: a client that stops sending is gone, whatever it still waits for."""

    def pause_writing(self) -> None:
        self._congested = True
        if self._handler is not None:
            self._handler.client_congested(congested=True)

    def resume_writing(self) -> None:
        self._congested = False
        if self._handler is not None:
            self._handler.client_congested(congested=False)
        else:
            self._next()

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase is _HEAD:
            last, held = self._last, self._buffer
            if last is not None and not held and (end := last.repeats(data)):
                self._begin(Exchange(self._gateway, self, last), last.head, last.keeps, data[end:])
            else:
                self._read_head(held + data if held else data)
        elif phase is _BODY:
            self._since = monotonic()
            self._read_body(data)
        elif phase is _TUNNEL:
            if self._handler is not None:
                self._handler.from_client(data)
        elif phase is _ANSWER:
            self._buffer += data
            if len(self._buffer) > _PIPELINED_BYTES:
                self.transport.pause_reading()

    # What a handler does with its client

    def send(self, data: bytes) -> None:
        """Write part of the answer."""
        self.transport.write(data)

    def finish(self, *, keep: bool = True) -> None:
        """End the answer; go on to the next request where both sides keep the connection."""
        self._handler = None
        if not (keep and self._keep):
            self.close()
            return
        self._phase = _HEAD
        self._since = monotonic()
        if self._congested:
            self.transport.pause_reading()  # the next request waits until the client has read its answers
        elif self._buffer:
            self._gateway.loop.call_soon(self._next)

    def switch(self, handler: "Handler") -> None:
        """Pass all further bytes to this handler: the connection is a tunnel now."""
        self._handler = handler
        self._phase = _TUNNEL
        self._need = 1  # what the client is sending when the tunnel ends is not to take our last words from it
        data, self._buffer = self._buffer, b""
        self.transport.resume_reading()
        if data:
            handler.from_client(data)

    def close(self) -> None:
        """Close once what was written is sent, throwing away what still comes, so that the client can read it."""
        self._phase = _CLOSING
        self._handler = None
        self._buffer = b""
        self._since = monotonic()
        if self._need == 0 and self._chunks is None:
            self.transport.close()
        elif self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self.transport.resume_reading()

    def abort(self, *, reset: bool = False) -> None:
        """End the connection at once: the client must see that the answer is not whole.

        `reset`: tear it down, where an orderly end would be the end of the body.
        """
        self._handler = None
        sock = self.transport.get_extra_info("socket") if reset else None
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def sweep(self, now: float) -> None:
        """End the connection where the client has kept it waiting too long."""
        limits = self._gateway.limits
        waited = now - self._since
        if self._phase is _HEAD:
            allowed = limits.head_timeout_s if self._buffer else limits.keep_alive_s
        elif self._phase is _BODY:
            allowed = limits.body_timeout_s
        elif self._phase is _CLOSING:
            allowed = _CLOSING_S
        else:
            return
        if waited > allowed and not self._is_read(now, waited):
            self.transport.abort()

    def _is_read(self, now: float, waited: float) -> bool:
        """Whether the client is still at the last answer, however slowly."""
        unsent, before = self.transport.get_write_buffer_size(), self._unsent
        if unsent != before:
            self._unsent, self._since = unsent, now
            return True
        return unsent > 0 and waited <= self._gateway.limits.idle_s

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self._phase is _HEAD and not self._buffer

    # Reading requests

    def _next(self) -> None:
        if self._phase is _HEAD and not self._congested and not self.transport.is_closing():
            self.transport.resume_reading()
            if self._buffer:
                self._read_head(self._buffer)

    def _read_head(self, data: bytes) -> None:
        seen = self._seen
        end = data.find(b"\r\n\r\n", max(0, seen - 3))
        try:
            if end < 0:
                if not self._buffer:
                    self._since = monotonic()
                self._buffer, self._seen = data, len(data)
                check_partial_head(data, seen)
                return
            block = data[: end + 4]
            head = read_request_head(block)
        except MalformedHeadError as problem:
            self._refuse(f"Room Proxy: malformed request: {problem}.")
            return
        self._buffer, self._seen = b"", 0
        handler = self._gateway.handler_for(self, head, block)
        if isinstance(handler, Exchange):
            self._last = handler.prepared
        self._begin(handler, head, head.keeps_alive, data[end + 4 :])

    def _begin(self, handler: "Handler", head: RequestHead, keep: bool, rest: bytes) -> None:  # noqa: FBT001 (once)
        self._handler = handler
        self._keep = keep
        self._phase = _BODY
        self._since = monotonic()
        if head.length == CHUNKED:
            self._need, self._chunks = 0, ChunkedReader()
        else:
            self._need, self._chunks = head.length, None
        if not handler.begin() or self._handler is not handler:
            return
        if self._chunks is None and self._need == len(rest):  # all of it is here, as it mostly is
            self._need = 0
            if not rest or (handler.body_piece(rest) and self._handler is handler):
                self._phase = _ANSWER
                handler.body_complete([])
        elif self._need == 0 and self._chunks is None:
            self._complete(rest, [])
        elif rest:
            self._read_body(rest)
        elif b"expect" in head.by_name and head.minor and handler.wants_more:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _read_body(self, data: bytes) -> None:
        if self._chunks is not None:
            self._read_chunked(self._chunks, data)
            return
        need = self._need
        if len(data) < need:
            self._need = need - len(data)
            self._take(data)
            return
        self._need = 0
        if len(data) == need:
            if self._take(data):
                self._complete(b"", [])
        elif self._take(data[:need]):
            self._complete(data[need:], [])

    def _read_chunked(self, chunks: ChunkedReader, data: bytes) -> None:
        pieces: list[bytes] = []
        try:
            consumed = chunks.feed(data, pieces)
        except MalformedChunkError as problem:
            self._refuse(f"Room Proxy: malformed request: {problem}.")
            return
        if pieces and not self._take(b"".join(pieces)):  # many small ones would take many times their size
            return
        if chunks.done:
            self._chunks = None
            self._complete(data[consumed:], chunks.trailers)

    def _take(self, data: bytes) -> bool:
        handler = self._handler
        return handler is not None and handler.body_piece(data) and self._handler is handler

    def _complete(self, rest: bytes, trailers: list[bytes]) -> None:
        self._phase = _ANSWER
        self._buffer = rest
        if self._handler is not None:
            self._handler.body_complete(trailers)

    def _refuse(self, message: str) -> None:
        """Answer 400 and close: where the next request begins is not known any more."""
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.client_gone()
        refusal = Refusal(status=400, code="malformed_request", message=message)
        _, data = render(refusal, Reader(protocol="openai"), new_request_id(), close=True)
        self._gateway.metrics.refused(refusal.code)
        self.transport.write(data)
        self._need = 1  # whatever still comes is not to reset the connection before the answer is read
        self.close()
