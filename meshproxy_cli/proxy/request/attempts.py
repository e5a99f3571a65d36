"""The way to the provider: which base URL and credential, which connection, and what is tried when that fails."""

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.errors import Refusal
from meshproxy_cli.proxy.core.routes import Reply
from meshproxy_cli.proxy.http1.chunked import chunk
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.request.detached_response import Drain
from meshproxy_cli.proxy.request.forwarded_headers import request_head, trailer_lines, upgrade_lines
from meshproxy_cli.proxy.request.relay import Relay
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.store.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.request.lifecycle import Exchange

_ACCEPT_ENCODING = frozenset({b"accept-encoding"})
_CONTENT_ENCODING = frozenset({b"content-encoding"})
_READ_HERE = frozenset({Reply.MODELS, Reply.BATCHES})  # answers that must come uncompressed
_JOINED_BYTES = 64 * 1024  # copying so much costs less than a second piece
_TRY_ELSEWHERE = frozenset({401, 403, 429, 500, 502, 503, 504, 529})
_CREDENTIAL_REFUSED = frozenset({401, 403})
_FIRST_ERROR = 400
_HAVE_BODIES = frozenset({b"POST", b"PUT", b"PATCH", b"DELETE"})


class Forwarder:
    """Sends one request upstream; the pool's `Waiter`."""

    __slots__ = (
        "_connection", "_exchange", "_gateway", "_parts", "_place", "_received", "_retried", "_targets",
        "_waiting", "paused", "relay", "touched",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway", exchange: "Exchange") -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._targets: Sequence[Target] = ()
        self._place = 0
        self._parts: list[bytes] = []
        self._connection: UpstreamConnection | None = None
        self._retried = False
        self._waiting = True  # for a connection or an answer; False once somebody else answered, or nobody listens
        self.relay: Relay | None = None
        self.paused = False
        self.touched = monotonic()  # when something moved; for bytes of the answer, when `sweep` saw that they came
        self._received = 0

    def start(self) -> None:
        """Send the request to the first base URL and credential."""
        exchange = self._exchange
        provider, caller = exchange.provider, exchange.caller
        if provider is None or caller is None:
            raise TypeError("a request without a provider or a caller")
        targets = provider.targets
        self._targets = targets if len(targets) == 1 else self._gateway.sticky.targets(provider, caller)
        self._attempt()

    def _attempt(self) -> None:
        target = self._targets[self._place]
        self._parts = self._request(target)
        connection = None if self._retried else self._gateway.pool.take(target.address)
        if connection is None:
            self._gateway.pool.open(target.address, self)
        else:
            self.upstream_ready(connection)

    def _request(self, target: Target) -> list[bytes]:
        exchange = self._exchange
        head, body = exchange.head, exchange.pieces[0] if exchange.pieces else b""
        if exchange.websocket:
            return [self._head(target) + upgrade_lines(head) + b"\r\n"]
        if exchange.trailers and (trailers := trailer_lines(exchange.trailers)):
            start = self._head(target) + b"transfer-encoding: chunked\r\n\r\n"
            return [start, chunk(body), b"0\r\n", trailers, b"\r\n"]
        if not (body or head.length or head.method in _HAVE_BODIES):
            return [self._head(target) + b"\r\n"]
        start = b"%bcontent-length: %d\r\n\r\n" % (self._head(target), len(body))
        return [start + body] if len(body) <= _JOINED_BYTES else [start, body]

    def _head(self, target: Target) -> bytes:
        """Return the head that goes upstream, up to the lines that say where the body ends."""
        exchange = self._exchange
        prepared, ask = exchange.prepared, exchange.ask
        if ask.target is not None:
            return request_head(replace(prepared.head, target=ask.target), target, exchange.route.path)
        if ask.body is None and not ask.hides_usage:
            if prepared.sent is None or prepared.sent[0] is not target:
                without = _ACCEPT_ENCODING if exchange.route.endpoint.reply in _READ_HERE else frozenset()
                prepared.sent = target, request_head(prepared.head, target, exchange.route.path, without=without)
            return prepared.sent[1]
        without = _ACCEPT_ENCODING if ask.hides_usage else frozenset()
        if ask.body is not None:
            without |= _CONTENT_ENCODING
        return request_head(prepared.head, target, exchange.route.path, without=without)

    def upstream_ready(self, connection: UpstreamConnection) -> None:
        if not self._waiting:
            connection.drop()
            return
        self._connection = connection
        self.relay = Relay(self._gateway, self._exchange, self)
        self.touched = monotonic()
        connection.send(self.relay, self._parts, head_only=self._exchange.head.method == b"HEAD")

    def upstream_failed(self, reason: str) -> None:
        if self._waiting:
            self._try_again(f"it can't be reached: {reason}")

    def no_answer(self, reason: str) -> None:
        """Go on after a connection ended before an answer's head was there.

        Nothing is sent twice that the provider may have worked on: only what a kept connection, which the provider
        has closed meanwhile, could not take any more is sent again.
        """
        connection, self._connection = self._connection, None
        if connection is not None and connection.stale:
            self._try_again(reason)
        else:
            self._move_on(reason, retry=True)

    def _try_again(self, reason: str) -> None:
        if self._retried:
            self._move_on(reason)
        else:
            self._retried = True
            self._gateway.metrics.retries["connection"] += 1
            self._attempt()

    def _move_on(self, reason: str, *, retry: bool = False) -> None:
        if self._may_move():
            self._next_target()
        else:
            self._give_up(502, "provider_unreachable", f"no answer ({reason})", retry=retry)

    def _may_move(self, *, refused: bool = False) -> bool:
        """Whether the next base URL and credential may be tried.

        A session that is bound changes its credential only where the provider has `refused` that one.
        """
        here, following = self._targets[self._place], self._targets[self._place + 1 : self._place + 2]
        provider, caller = self._exchange.provider, self._exchange.caller
        if not following or provider is None or caller is None:
            return False
        same = following[0].credential == here.credential
        return refused or same or not self._gateway.sticky.is_bound(provider, caller)

    def _next_target(self) -> None:
        self._place += 1
        self._retried = False
        self._gateway.metrics.retries["credential"] += 1
        self._attempt()

    def _give_up(self, status: int, code: str, reason: str, *, retry: bool = False) -> None:
        self._waiting = False
        provider = self._exchange.provider
        name = provider.name if provider is not None else ""
        message = (
            f"Room Proxy: the provider '{name}' gave {reason}. Try again in a moment; if it stays so, tell the proxy's "
            f"admin. Request id: {self._exchange.request_id}."
        )
        self._exchange.refuse(Refusal(status=status, code=code, message=message, retry=retry), Outcome.UNREACHABLE)

    def declines(self, head: AnswerHead) -> bool:
        """Whether this answer is not passed on, because another base URL or credential is tried instead."""
        if len(self._targets) > 1:
            if head.status < _FIRST_ERROR:
                self._bind()
            elif head.status in _TRY_ELSEWHERE and self._may_move(refused=head.status in _CREDENTIAL_REFUSED):
                self.drop()
                self._next_target()
                return True
        self._parts = self._exchange.pieces = []  # nothing will be sent again
        return False

    def _bind(self) -> None:
        """Keep the session to what has answered it."""
        provider, caller = self._exchange.provider, self._exchange.caller
        if provider is not None and caller is not None:
            self._gateway.sticky.worked(provider, caller, self._targets[self._place])

    @property
    def between_chunks(self) -> bool:
        """Whether an event can be put into the answer here."""
        return self._connection is not None and self._connection.between_chunks

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading from the provider, as the client keeps up."""
        self.paused = paused
        self.touched = monotonic()
        connection = self._connection
        if connection is not None and not connection.transport.is_closing():
            if paused:
                connection.transport.pause_reading()
            else:
                connection.transport.resume_reading()

    def done(self) -> None:
        """Let go of the connection: its answer is whole, and it may serve somebody else already."""
        self._connection = None
        self._waiting = False

    def take_connection(self) -> UpstreamConnection | None:
        """Hand the connection, on which the provider speaks websocket now, over to somebody else."""
        self._bind()
        connection, self._connection = self._connection, None
        self._waiting = False
        return connection

    def drop(self) -> None:
        """End the provider's request."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def client_gone(self) -> None:
        """End the provider's request, or let a `Drain` read its end: nobody listens any more."""
        if not self._waiting:
            return
        self._waiting = False
        if self.relay is None or not self.relay.status:
            self.drop()
            self._exchange.record(0, Outcome.CLIENT_CLOSED, "client_closed", None)
        elif self._connection is not None and self._gateway.may_drain:
            connection, self._connection = self._connection, None
            Drain(self._gateway, connection, self.relay).start()
        else:
            self.drop()
            self.relay.client_gone()

    def sweep(self, now: float) -> None:
        """End a request whose provider, or whose client, has been silent for too long."""
        limit = self._gateway.limits.idle_s
        received = 0 if self.relay is None else self.relay.received
        if received != self._received:
            self._received = received
            self.touched = now
        if now - self.touched <= limit or not self._waiting:
            return
        if self.paused:
            self._exchange.client.transport.abort()
        elif self.relay is not None and self.relay.status:
            self.relay.timed_out(limit)
        else:
            self.drop()
            self._give_up(504, "provider_timeout", f"no answer within {limit:.0f} seconds")
