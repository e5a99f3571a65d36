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

from meshproxy_cli.proxy.core.errors import ClientProfile, ProxyError, render
from meshproxy_cli.proxy.core.ids import new_request_id
from meshproxy_cli.proxy.core.unexpected import report
from meshproxy_cli.proxy.downstream.dispatcher import dispatch
from meshproxy_cli.proxy.downstream.static_answers import INTERNAL_ERROR, StaticAnswer
from meshproxy_cli.proxy.http1.chunked import ChunkedReader, MalformedChunkError
from meshproxy_cli.proxy.http1.head import (
    CHUNKED,
    AnswerHead,
    MalformedHeadError,
    RequestHead,
    check_partial_head,
    read_request_head,
)
from meshproxy_cli.proxy.request.lifecycle import Exchange
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.proxy.upstream.forwarded_headers import switch_head
from meshproxy_cli.proxy.websocket.tunnel import Tunnel

if TYPE_CHECKING:
    from meshproxy_cli.proxy.core.handler import Handler
    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.request.prepared import Prepared

_PIPELINED_BYTES = 64 * 1024
_WRITE_BUFFER_BYTES = 64 * 1024
_CLOSING_S = 2.0
_REMEMBERED_HEAD = 8 * 1024  # bytes of a head that an idle connection keeps, to compare the next one with
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
        "_head",
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
        self._head: RequestHead | None = None  # of the request that is under way
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
            try:
                handler.client_gone()
            except Exception as problem:  # noqa: BLE001 (see `fail`)
                report(problem, handler.request_id)

    def eof_received(self) -> None:
        """Close: a client that stops sending is gone, whatever it still waits for."""

    def pause_writing(self) -> None:
        self._congested = True
        self._tell_congested()

    def resume_writing(self) -> None:
        self._congested = False
        if self._handler is not None:
            self._tell_congested()
        else:
            self._next()

    def _tell_congested(self) -> None:
        handler = self._handler
        if handler is not None:
            try:
                handler.client_congested(congested=self._congested)
            except Exception as problem:  # noqa: BLE001 (see `fail`)
                self.fail(handler, problem)

    def data_received(self, data: bytes) -> None:
        try:
            self._received(data)
        except Exception as problem:  # noqa: BLE001 (see `fail`)
            self._crash(problem)

    def _received(self, data: bytes) -> None:
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

    def open_tunnel(self, exchange: Exchange, connection: UpstreamConnection, head: AnswerHead, rest: bytes) -> None:
        """Become a websocket: the provider has switched protocols, and `rest` is what it has sent since."""
        tunnel = Tunnel(self._gateway, exchange, connection)
        connection.hand_over(tunnel)
        self.send(switch_head(head, exchange.request_id.encode()))
        self._switch(tunnel)
        if rest:
            tunnel.tunnel_data(rest)

    def _switch(self, handler: "Handler") -> None:
        """Pass all further bytes to this handler."""
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

    def fail(self, handler: "Handler", problem: Exception) -> "Handler | None":
        """Answer 500 in place of a handler of which a step raised; return what reads the rest of its request, if any.

        This is the boundary for whatever nobody foresaw: each callback that runs a handler's code leads here.
        """
        report(problem, handler.request_id)
        if self._handler is not handler or self.transport.is_closing():
            return None
        answered, tunnel = handler.answered, self._phase is _TUNNEL
        head = self._head
        self._break_off(handler)
        if tunnel or answered or head is None:
            if not tunnel:
                self.abort(reset=True)
            return None
        self._handler = instead = StaticAnswer.in_place_of(self._gateway, self, head, handler)
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if self._phase is _ANSWER:
            instead.body_complete([])
        return instead

    def _break_off(self, handler: "Handler") -> None:
        self._handler = None
        try:
            handler.break_off()
        except Exception as problem:  # noqa: BLE001 (it is broken: only the first error matters)
            report(problem, handler.request_id)
            if self._phase is _TUNNEL:
                self.abort()

    def _crash(self, problem: Exception) -> None:
        """Answer 500 and close: an error outside of a handler, after which it is unknown where a request begins."""
        handler = self._handler
        if handler is not None and self._phase is _TUNNEL:
            self.fail(handler, problem)
            return
        report(problem, self.request_id)
        if self.transport.is_closing():
            return
        reader = ClientProfile(protocol="openai")
        answered = self._phase is _ANSWER
        if handler is not None:
            reader, answered = handler.reader, handler.answered
            self._break_off(handler)
        if answered:
            self.abort(reset=True)
        else:
            self._answer_last(INTERNAL_ERROR, reader)

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
            if self._phase is _BODY or (self._phase is _HEAD and self._buffer):
                self._time_out(allowed)
            else:
                self.transport.abort()

    def _time_out(self, seconds: float) -> None:
        """Answer 408 in the place of a request that stopped halfway, and close."""
        message = f"Room Proxy: the rest of the request did not come within {seconds:g} seconds. Send it again."
        refusal = ProxyError(status=408, code="request_timeout", message=message, retry=True)
        if isinstance(self._handler, Exchange):
            self._handler.closes = True
            self._handler.refuse(refusal)
        else:
            self._refuse_with(refusal)

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
                try:
                    self._read_head(self._buffer)
                except Exception as problem:  # noqa: BLE001 (see `fail`)
                    self._crash(problem)

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
        handler = dispatch(self._gateway, self, head, block)
        if isinstance(handler, Exchange):
            self._last = handler.prepared if len(block) <= _REMEMBERED_HEAD else None
        self._begin(handler, head, head.keeps_alive, data[end + 4 :])

    def _begin(self, handler: "Handler", head: RequestHead, keep: bool, rest: bytes) -> None:  # noqa: FBT001 (once)
        self._handler = handler
        self._head = head
        self._keep = keep
        self._phase = _BODY
        self._since = monotonic()
        if head.length == CHUNKED:
            self._need, self._chunks = 0, ChunkedReader(bounded=True)
        else:
            self._need, self._chunks = head.length, None
        try:
            begun = handler.begin()
        except Exception as problem:  # noqa: BLE001 (see `fail`)
            instead = self.fail(handler, problem)
            if instead is None:
                return
            handler = instead
            begun = handler.begin()
        if not begun or self._handler is not handler:
            return
        if self._chunks is None and self._need == len(rest):  # all of it is here, as it mostly is
            self._need = 0
            if not rest or self._take(rest):
                self._complete(b"", [])
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
        if handler is None:
            return False
        try:
            return handler.body_piece(data) and self._handler is handler
        except Exception as problem:  # noqa: BLE001 (see `fail`)
            return self.fail(handler, problem) is not None

    def _complete(self, rest: bytes, trailers: list[bytes]) -> None:
        self._phase = _ANSWER
        self._buffer = rest
        handler = self._handler
        if handler is not None:
            try:
                handler.body_complete(trailers)
            except Exception as problem:  # noqa: BLE001 (see `fail`)
                self.fail(handler, problem)

    def _refuse(self, message: str) -> None:
        """Answer 400 and close: where the next request begins is not known any more."""
        self._refuse_with(ProxyError(status=400, code="malformed_request", message=message))

    def _refuse_with(self, refusal: ProxyError) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.client_gone()
        self._answer_last(refusal, ClientProfile(protocol="openai"))

    def _answer_last(self, refusal: ProxyError, reader: ClientProfile) -> None:
        _, data = render(refusal, reader, new_request_id(), close=True)
        self._gateway.metrics.refused(refusal.code)
        self.transport.write(data)
        self._need = 1  # whatever still comes is not to reset the connection before the answer is read
        self.close()
