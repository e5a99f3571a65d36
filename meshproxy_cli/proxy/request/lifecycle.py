"""One request of a provider route, in the order in which it happens:

head read → authenticate → body read → authorise → limits → forward (`forward.py`, `relay.py`) → record.
"""

import logging
from concurrent.futures import Future
from datetime import UTC, datetime
from time import perf_counter, time
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.core.errors import Refusal, RefusedError, UnknownIdError, answer, reader_of, render, too_large
from meshproxy_cli.proxy.core.ids import as_uuid, new_request_id
from meshproxy_cli.proxy.core.routes import Reply
from meshproxy_cli.proxy.events.entry import Entry
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, Pending, is_free
from meshproxy_cli.proxy.ownership.lookup import NO_LOOKUP, Found
from meshproxy_cli.proxy.providers.openai import CODEX_MODELS
from meshproxy_cli.proxy.request.attempts import Forwarder
from meshproxy_cli.proxy.request.authorization import Ask
from meshproxy_cli.proxy.request.forwarded_headers import switch_head
from meshproxy_cli.proxy.request.prepared import Prepared, Standing
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.proxy.websocket.tunnel import Tunnel
from meshproxy_cli.store.events import Outcome

if TYPE_CHECKING:
    from meshproxy_cli.proxy.config.server import Provider
    from meshproxy_cli.proxy.core.caller import Caller
    from meshproxy_cli.proxy.downstream.connection import ClientConnection
    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.upstream.connection import UpstreamConnection

_KEPT_FOR_STRANGERS = 4 * 1024 * 1024
_UNKNOWN_KEY = "token_unknown_key"
_RESPONSE = Reply.RESPONSE
_log = logging.getLogger(__name__)


class Exchange:
    """A request and its answer; a `Handler`."""

    __slots__ = (
        "_admission", "_begun", "_gateway", "_looked_up", "_pending", "_refusal", "_size", "_standing", "_started_at",
        "ask", "caller", "client", "closes", "forwarder", "head", "pieces", "prepared", "provider", "request_id",
        "route", "trailers", "websocket",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway", client: "ClientConnection", prepared: Prepared) -> None:
        self._gateway = gateway
        self.client = client
        self.prepared = prepared
        self.head = prepared.head
        self.route = prepared.route
        self.websocket = prepared.websocket
        self.closes = not prepared.keeps or gateway.draining
        self.request_id = new_request_id()
        self.caller: Caller | None = None
        self.ask = _NO_ASK
        self.provider: Provider | None = None
        self.pieces: list[bytes] = []
        self.trailers: list[bytes] = []
        self.forwarder: Forwarder | None = None
        self._standing: Standing | None = None
        self._size = 0
        self._begun = perf_counter()
        self._started_at = datetime.now(UTC)
        self._refusal: Refusal | None = None
        self._admission: Admission = ADMITTED
        self._pending: Pending | None = None
        self._looked_up = False

    # The request comes in

    @property
    def wants_more(self) -> bool:
        return self._refusal is None or self._refusal.code == _UNKNOWN_KEY

    def begin(self) -> bool:
        self._gateway.exchanges.add(self)
        self._authenticate()
        if self.head.length > self._gateway.limits.largest_body:
            self._refuse_size()
            return False
        if self._refusal is not None and not self.wants_more and b"expect" in self.head.by_name:
            self.closes = True
            self.refuse(self._refusal)
            return False
        return True

    def body_piece(self, data: bytes) -> bool:
        self._size += len(data)
        if self._refusal is None or (self.wants_more and self._size <= _KEPT_FOR_STRANGERS):
            self.pieces.append(data)
        if self._size > self._gateway.limits.largest_body:
            self._refuse_size()
            return False
        return True

    def body_complete(self, trailers: list[bytes]) -> None:
        self.trailers = trailers
        standing = self._standing
        if standing is not None and (standing.generation != self._gateway.generation or time() >= standing.until):
            self._authenticate()  # the body took its time
        if self._refusal is None:
            self._authorise()
        elif self.wants_more:
            self._gateway.refresh_directory(self._authenticate_again)
        else:
            self.refuse(self._refusal)

    def _authenticate(self) -> None:
        gateway, standing = self._gateway, self.prepared.standing
        self._refusal = None
        if standing is None or standing.generation != gateway.generation or time() >= standing.until:
            try:
                caller, until = gateway.authenticator.identify(self.head, self.route)
            except RefusedError as problem:
                self._refusal = problem.refusal
                return
            room = gateway.directory.room(caller.project_id, caller.room)
            standing = self.prepared.standing = Standing(gateway.generation, until, caller, room)
        self._standing = standing
        self.caller = standing.caller

    def _authenticate_again(self) -> None:
        """Look once more, now that the directory is fresh: the key may have been made a moment ago."""
        if self.client.transport.is_closing():
            return
        self._authenticate()
        if self._refusal is not None:
            self.refuse(self._refusal)
        elif self._size > _KEPT_FOR_STRANGERS:
            message = "Room Proxy: this API key became known a moment ago; send the request again."
            self.refuse(Refusal(status=503, code="try_again", message=message, retry=True))
        else:
            self._authorise()

    def _refuse_size(self) -> None:
        self.closes = True
        self.refuse(too_large(self._gateway.limits.largest_body))

    # What it asks for

    def _authorise(self) -> None:
        gateway, standing, route = self._gateway, self._standing, self.route
        if standing is None:
            raise TypeError("a request without a caller")
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces = [body] if body else []
        try:
            self.ask = gateway.authoriser.ask(standing.caller, route, standing.room, self.head, body)
            if route.endpoint.reply is Reply.MODELS and b"client_version=" in self.head.target:
                self._answer_here(CODEX_MODELS)
                return
            self.provider = standing.provider
            if self.provider is None:
                self.provider = standing.provider = gateway.provider_for(route.protocol, standing.room)
        except UnknownIdError as problem:
            self._look_up(problem)
            return
        except RefusedError as problem:
            self.refuse(problem.refusal)
            return
        if self.websocket or is_free(route.endpoint.path):  # each turn of a websocket is admitted on its own
            self._forward()
            return
        verdict = gateway.limiter.admit(
            standing.caller, route.protocol, route.endpoint.path, self._size, self.ask.model
        )
        if isinstance(verdict, Future):
            self._pending = verdict
            verdict.add_done_callback(lambda done: gateway.loop.call_soon_threadsafe(self._decided, done))
        else:
            self._admitted(verdict)

    def _look_up(self, problem: UnknownIdError) -> None:
        """Ask for an id that another machine may know, once, and then authorise again."""
        lookup = self._gateway.lookup
        if lookup is None or self._looked_up:
            self.refuse(problem.refusal)
        else:
            self._looked_up = True
            lookup.ask(problem.ident, self._found)

    def _found(self, found: Found) -> None:
        if self.client.transport.is_closing():
            return
        if found is Found.AWAY:
            self.refuse(NO_LOOKUP)
        else:
            self._authorise()

    def _decided(self, done: Pending) -> None:
        if self._pending is done:
            self._pending = None
            self._admitted(ADMITTED if done.exception() is not None else done.result())

    def _admitted(self, verdict: Admission | Refusal) -> None:
        if isinstance(verdict, Refusal):
            self.refuse(verdict)
            return
        self._admission = verdict
        self._forward()

    def _forward(self) -> None:
        if self.ask.body is not None:
            self.pieces = [self.ask.body]
        self.forwarder = Forwarder(self._gateway, self)
        self.forwarder.start()

    # How it ends

    def refuse(self, refusal: Refusal, outcome: Outcome = Outcome.REFUSED) -> None:
        """Answer in the provider's place."""
        reader = reader_of(self.head, self.route, stream=self.ask.stream)
        status, data = render(refusal, reader, self.request_id, close=self.closes)
        self._gateway.metrics.refused(refusal.code)
        what = {"status": refusal.status, "endpoint": self.route.endpoint.path}
        _log.debug("refused: %s", refusal.code, extra={"request_id": self.request_id, "fields": what})
        if self.caller is not None:
            self.record(status, outcome, refusal.code, None)
        self.client.send(data)
        self.over(keep=not self.closes)

    def _answer_here(self, body: bytes) -> None:
        head_only = self.head.method == b"HEAD"
        self.client.send(answer(200, body, self.request_id, close=self.closes, head_only=head_only))
        self.over(keep=not self.closes)

    def upgraded(self, connection: "UpstreamConnection", head: AnswerHead, rest: bytes) -> None:
        """Become a tunnel: the provider has switched to the websocket protocol."""
        tunnel = Tunnel(self._gateway, self, connection)
        self._gateway.exchanges.discard(self)
        connection.hand_over(tunnel)
        self.client.send(switch_head(head, self.request_id.encode()))
        self.client.switch(tunnel)
        if rest:
            tunnel.tunnel_data(rest)

    def over(self, *, keep: bool) -> None:
        """Part from the client: the last byte is written."""
        self._gateway.exchanges.discard(self)
        self.client.finish(keep=keep)

    def abort(self, *, reset: bool) -> None:
        """Part from the client so that it sees that the answer is not whole (see `ClientConnection.abort`)."""
        self._gateway.exchanges.discard(self)
        self.client.abort(reset=reset)

    def sweep(self, now: float) -> None:
        """End what has been silent for too long."""
        if self.forwarder is not None:
            self.forwarder.sweep(now)

    def client_congested(self, *, congested: bool) -> None:
        if self.forwarder is not None:
            self.forwarder.pause(paused=congested)

    def client_gone(self) -> None:
        self._gateway.exchanges.discard(self)
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        if self.forwarder is not None:
            self.forwarder.client_gone()

    def from_client(self, data: bytes) -> None:
        """Take nothing: only a `Tunnel` switches its connection."""

    def record(self, status: int, outcome: Outcome, error: str, reading: Reading | None) -> None:
        """Write the event down; called before the last byte goes out."""
        if self._standing is None:
            return
        gateway, relay = self._gateway, None if self.forwarder is None else self.forwarder.relay
        subject = self._standing.subject_of(self.route, self.head.method, self.provider)
        begun = self._begun
        entry = Entry(
            event_id=as_uuid(self.request_id[-32:]),
            request_id=self.request_id,
            started_at=self._started_at,
            streamed=False,
            status=status,
            outcome=outcome,
            model_requested=self.ask.model,
            duration_ms=(perf_counter() - begun) * 1000,
            request_bytes=self._size,
            error=error,
        )
        if relay is not None and relay.status:
            entry.streamed = relay.streamed
            entry.provider_request_id = relay.provider_request_id
            entry.ttfb_ms = (relay.first_byte_at - begun) * 1000
            entry.response_bytes = relay.received
        gateway.record(subject, entry, reading)
        if self._admission is not ADMITTED:
            gateway.limiter.settle(self._admission, entry.event(subject))
        if reading is not None and reading.answer_id and self.route.endpoint.reply is _RESPONSE:
            gateway.owners.note(self._standing.caller, reading.answer_id, shared=self.ask.stored)


_NO_ASK = Ask()
