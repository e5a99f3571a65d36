"""The way to the provider: which base URL and credential, which connection, and what is tried if that fails.

All retries are here. Nothing is sent twice that a provider may have worked on.
"""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from meshproxy_cli.proxy.config.server import Provider
from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.routes import Reply
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.http1.pieces import Piece
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.prepared import Prepared
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.proxy.upstream.forwarded_headers import request_head, trailer_lines, upgrade_lines

_ACCEPT_ENCODING = frozenset({b"accept-encoding"})
_CONTENT_ENCODING = frozenset({b"content-encoding"})
_READ_HERE = frozenset({Reply.MODELS, Reply.BATCHES})  # answers that must come uncompressed
_JOINED_BYTES = 64 * 1024  # copying so much costs less than a second piece
_TRY_ELSEWHERE = frozenset({401, 403, 429, 500, 502, 503, 504, 529})
_CREDENTIAL_REFUSED = frozenset({401, 403})
_FIRST_ERROR = 400
_REDIRECTS = range(300, 400)
MAX_HEAD_BYTES = 8 * 1024  # of an answer: what any load balancer before the proxy takes
_HAVE_BODIES = frozenset({b"POST", b"PUT", b"PATCH", b"DELETE"})


class OutgoingRequest(Protocol):
    """A request that may go to a provider, and what becomes of it."""

    prepared: Prepared
    authorized: AuthorizedRequest
    pieces: list[Piece]  # of the body
    changed: bool  # whether they are another body than the client's
    trailers: list[bytes]

    def accept(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        """Take the connection: this answer is the one for the client."""

    def failed(self, problem: Exception) -> None:
        """End: a step raised what nobody foresaw."""

    def upgraded(self, connection: UpstreamConnection, head: AnswerHead, rest: bytes) -> None:
        """Take the connection, on which the provider speaks websocket now."""

    def badly_answered(self, code: str, what: str) -> None:
        """Learn that the provider's answer is nothing to pass on; `what` says what it did."""

    def unanswered(self, status: int, code: str, reason: str, *, retry: bool) -> None:
        """Learn that no provider answers; `retry`: the same request may work in a moment."""


class Attempts:
    """Sends one request upstream until it is answered; the pool's `Waiter`, and a `Sink` until an answer's head."""

    __slots__ = (
        "_caller",
        "_connection",
        "_gateway",
        "_parts",
        "_place",
        "_provider",
        "_request",
        "_retried",
        "_targets",
        "_touched",
        "_waiting",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, request: OutgoingRequest, provider: Provider, caller: Caller) -> None:
        self._gateway = gateway
        self._request = request
        self._provider = provider
        self._caller = caller
        targets = provider.targets
        self._targets: Sequence[Target] = targets if len(targets) == 1 else gateway.affinity.targets(provider, caller)
        self._place = 0
        self._parts: list[Piece] = []
        self._connection: UpstreamConnection | None = None
        self._retried = False
        self._waiting = True  # for a connection or an answer; False once there is one, or nobody listens
        self._touched = monotonic()  # when something moved

    def start(self) -> None:
        """Send the request to the next base URL and credential."""
        target = self._targets[self._place]
        self._parts = self._request_parts(target)
        connection = None if self._retried else self._gateway.pool.take(target.address)
        if connection is None:
            self._gateway.pool.open(target.address, self)
        else:
            self.upstream_ready(connection)

    def _request_parts(self, target: Target) -> list[Piece]:
        request, prepared = self._request, self._request.prepared
        head, pieces = prepared.head, request.pieces
        size = sum(map(len, pieces))
        if prepared.websocket:
            return [self._head(target) + upgrade_lines(head) + b"\r\n"]
        if request.trailers and (trailers := trailer_lines(request.trailers, target)):
            start = self._head(target) + b"transfer-encoding: chunked\r\n\r\n"
            end = (b"0\r\n", trailers, b"\r\n")
            return [start, b"%x\r\n" % size, *pieces, b"\r\n", *end] if size else [start, *end]
        if not (size or head.length or head.method in _HAVE_BODIES):
            return [self._head(target) + b"\r\n"]
        start = b"%bcontent-length: %d\r\n\r\n" % (self._head(target), size)
        return [b"".join((start, *pieces))] if size <= _JOINED_BYTES else [start, *pieces]

    def _head(self, target: Target) -> bytes:
        """Return the head that goes upstream, up to the lines that say where the body ends."""
        prepared, ask = self._request.prepared, self._request.authorized
        route = prepared.route
        if ask.target is not None:
            return request_head(replace(prepared.head, target=ask.target), target, route.path)
        if not self._request.changed and not ask.hides_usage:
            if prepared.sent is None or prepared.sent[0] is not target:
                without = _ACCEPT_ENCODING if route.endpoint.reply in _READ_HERE else frozenset()
                prepared.sent = target, request_head(prepared.head, target, route.path, without=without)
            return prepared.sent[1]
        without = _ACCEPT_ENCODING if ask.hides_usage else frozenset()
        if self._request.changed:
            without |= _CONTENT_ENCODING
        return request_head(prepared.head, target, route.path, without=without)

    # What becomes of an attempt

    def upstream_ready(self, connection: UpstreamConnection) -> None:
        if not self._waiting:
            connection.drop()
            return
        self._connection = connection
        self._touched = monotonic()
        connection.send(self, self._parts, head_only=self._request.prepared.head.method == b"HEAD")

    def upstream_failed(self, reason: str) -> None:
        if self._waiting:
            self._try_again(f"it can't be reached: {reason}")

    def answer_started(self, head: AnswerHead) -> None:
        if head.status in _REDIRECTS:
            self.stop()
            what = f"answered with a redirect ({head.status}), which is not passed on"
            self._request.badly_answered("provider_redirect", what)
            return
        if self._is_declined(head):
            self._drop()
            self._next_target()
            return
        self._request.accept(self._take_connection(), head)

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Let the request become a tunnel, unless nobody asked for a switch of protocols."""
        agreed = b"sec-websocket-extensions" not in head.known and len(head.fields) <= MAX_HEAD_BYTES
        if self._request.prepared.websocket and agreed:
            self._bind()
            self._request.upgraded(self._take_connection(), head, rest)
            return
        self._drop()
        self._move_on("it switched protocols unasked", retry=True)

    def answer_broken(self, reason: str) -> None:
        """Go on after a connection ended before an answer's head was there.

        What a kept connection, which the provider has closed meanwhile, could not take any more is sent once more.
        """
        connection, self._connection = self._connection, None
        if connection is not None and connection.stale:
            self._try_again(reason)
        else:
            self._move_on(reason, retry=True)

    def failed(self, problem: Exception) -> None:
        self._request.failed(problem)

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        """Take nothing: an answer with a head is somebody else's."""

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        """Take nothing: the same."""

    def tunnel_data(self, data: bytes) -> None:
        """Take nothing: this is no tunnel."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Need nothing: the whole request is in memory already."""

    # What is tried next

    def _try_again(self, reason: str) -> None:
        if self._retried:
            self._move_on(reason)
        else:
            self._retried = True
            self._gateway.metrics.retries["connection"] += 1
            self.start()

    def _move_on(self, reason: str, *, retry: bool = False) -> None:
        if self._may_move():
            self._next_target()
        else:
            self._give_up(502, "provider_unreachable", f"no answer ({reason})", retry=retry)

    def _may_move(self, *, refused: bool = False) -> bool:
        """Whether the next base URL and credential may be tried.

        A session that is bound changes its credential only if the provider has `refused` that one.
        """
        here, following = self._targets[self._place], self._targets[self._place + 1 : self._place + 2]
        if not following:
            return False
        same = following[0].credential == here.credential
        return refused or same or not self._gateway.affinity.is_bound(self._provider, self._caller)

    def _next_target(self) -> None:
        self._place += 1
        self._retried = False
        self._gateway.metrics.retries["credential"] += 1
        self.start()

    def _is_declined(self, head: AnswerHead) -> bool:
        """Whether this answer is not passed on, because another base URL or credential is tried instead."""
        if len(self._targets) == 1:
            return False
        if head.status < _FIRST_ERROR:
            self._bind()
            return False
        return head.status in _TRY_ELSEWHERE and self._may_move(refused=head.status in _CREDENTIAL_REFUSED)

    def _bind(self) -> None:
        """Keep the session to what has answered it."""
        self._gateway.affinity.bind(self._provider, self._caller, self._targets[self._place])

    def _give_up(self, status: int, code: str, reason: str, *, retry: bool = False) -> None:
        self._waiting = False
        self._request.unanswered(status, code, reason, retry=retry)

    def _take_connection(self) -> UpstreamConnection:
        connection, self._connection = self._connection, None
        if connection is None:
            raise TypeError("an answer without a connection")
        self._waiting = False
        self._parts = []  # nothing will be sent again
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()

    def stop(self) -> None:
        """End the provider's request: nobody waits for the answer."""
        self._waiting = False
        self._drop()

    def sweep(self, now: float) -> None:
        """End a request whose provider has been silent for too long."""
        limit = self._gateway.limits.idle_s
        if self._waiting and now - self._touched > limit:
            self._drop()
            self._give_up(504, "provider_timeout", f"no answer within {limit:.0f} seconds")
