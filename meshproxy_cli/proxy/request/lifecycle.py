"""One request of a provider route, in the order in which it happens:

authenticate → read the body → authorize → admit → attempt (`attempts.py`) → relay (`relay.py`) → record → end.

Only this module records and ends a request.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Protocol

from meshproxy_cli.proxy.config.server import Provider
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import (
    ClientProfile,
    ProxyError,
    RefusedError,
    UnknownIdError,
    answer,
    client_profile,
    refuse,
    render,
    too_large,
)
from meshproxy_cli.proxy.core.handler import Client
from meshproxy_cli.proxy.core.ids import as_uuid, new_request_id
from meshproxy_cli.proxy.core.routes import Reply
from meshproxy_cli.proxy.events.entry import Entry
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.http1.pieces import Piece, append
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, Pending, is_free
from meshproxy_cli.proxy.ownership.lookup import NO_LOOKUP, Found
from meshproxy_cli.proxy.providers.openai import CODEX_MODELS
from meshproxy_cli.proxy.request.attempts import MAX_HEAD_BYTES, Attempts
from meshproxy_cli.proxy.request.authorization import ON_LOOP, AuthorizedRequest, TooMuchForLoopError
from meshproxy_cli.proxy.request.detached_response import DetachedResponse
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.inspector import Outcome as Inspection
from meshproxy_cli.proxy.request.inspector import RequestJob
from meshproxy_cli.proxy.request.narrowing import transform_for
from meshproxy_cli.proxy.request.prepared import CallerContext, Prepared
from meshproxy_cli.proxy.request.relay import Relay
from meshproxy_cli.proxy.request.transforms import Transform
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.proxy.usage.numbers import storable
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome

_READ_ON_LOOP = ON_LOOP.size or 0
_UNKNOWN_KEY = "token_unknown_key"
_RESPONSE = Reply.RESPONSE
_INTERNAL_ERROR = 500
_NO_IDS: frozenset[str] = frozenset()
_log = logging.getLogger(__name__)


class TunnelingClient(Client, Protocol):
    """A client whose connection can become a websocket."""

    def open_tunnel(self, exchange: "Exchange", connection: UpstreamConnection, head: AnswerHead, rest: bytes) -> None:
        """Become a websocket: the provider has switched protocols, and `rest` is what it has sent since."""


class Exchange:
    """A request and its answer; a `Handler`."""

    __slots__ = (
        "_admission",
        "_attempts",
        "_begun",
        "_complete",
        "_context",
        "_gateway",
        "_key_pending",
        "_looked_up",
        "_pending",
        "_refusal",
        "_relay",
        "_size",
        "_started_at",
        "authorized",
        "caller",
        "changed",
        "client",
        "closes",
        "head",
        "pieces",
        "prepared",
        "provider",
        "request_id",
        "route",
        "trailers",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, client: TunnelingClient, prepared: Prepared) -> None:
        self._gateway = gateway
        self.client = client
        self.prepared = prepared
        self.head = prepared.head
        self.route = prepared.route
        self.closes = not prepared.keeps or gateway.draining
        self.request_id = new_request_id()
        self.caller: Caller | None = None
        self.authorized = _UNDECIDED
        self.provider: Provider | None = None
        self.pieces: list[Piece] = []  # of the body
        self.changed = False  # whether they are another body than the client's
        self.trailers: list[bytes] = []
        self._attempts: Attempts | None = None  # while there is no answer
        self._relay: Relay | None = None  # from the answer's head on
        self._context: CallerContext | None = None
        self._size = 0
        self._begun = perf_counter()
        self._started_at = datetime.now(UTC)
        self._refusal: ProxyError | None = None
        self._admission: Admission = ADMITTED
        self._pending: Pending | None = None
        self._key_pending = False  # whether the token's key is looked up; nothing is read from the socket meanwhile
        self._complete = False  # whether the whole body is here
        self._looked_up = _NO_IDS

    # The request comes in

    @property
    def wants_more(self) -> bool:
        return self._refusal is None

    @property
    def reader(self) -> ClientProfile:
        """Who reads an error of ours."""
        return client_profile(self.head, self.route, stream=self.authorized.stream)

    @property
    def answered(self) -> bool:
        """Whether part of an answer is out."""
        return self._relay is not None and self._relay.begun

    def begin(self) -> bool:
        self._gateway.exchanges.add(self)
        self._authenticate()
        if self._refusal is not None and self._refusal.code == _UNKNOWN_KEY:
            self._look_up_key()
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
        if self._refusal is None:
            append(self.pieces, data)
        if self._size > self._gateway.limits.largest_body:
            self._refuse_size()
            return False
        return True

    def body_complete(self, trailers: list[bytes]) -> None:
        self.trailers = trailers
        self._complete = True
        if self._key_pending:
            return
        context = self._context
        if context is not None and (context.config_version != self._gateway.config_version or time() >= context.until):
            self._authenticate()  # the body took its time
        if self._refusal is None:
            self._authorize()
        else:
            self.refuse(self._refusal)

    def _authenticate(self) -> None:
        gateway, context = self._gateway, self.prepared.context
        self._refusal = None
        if context is None or context.config_version != gateway.config_version or time() >= context.until:
            try:
                caller, until = gateway.authenticator.identify(self.head, self.route)
            except RefusedError as problem:
                self._refusal = problem.refusal
                return
            room = gateway.directory.room(caller.project_id, caller.room)
            context = self.prepared.context = CallerContext(gateway.config_version, until, caller, room)
        self._context = context
        self.caller = context.caller

    def _look_up_key(self) -> None:
        """Read the directory again, since the key may have been made a moment ago.

        Until then nothing more is read from the socket: what a stranger sends stays in the kernel, but for one read.
        """
        self._refusal = None
        self._key_pending = True
        self.client.transport.pause_reading()
        self._gateway.refresh_directory(lambda: self._guarded(self._authenticate_again))

    def _authenticate_again(self) -> None:
        if self.client.transport.is_closing() or not self._key_pending:
            return
        self._key_pending = False
        self.client.transport.resume_reading()
        self._authenticate()
        if self._refusal is not None:
            self.pieces = []
        if not self._complete:
            return
        if self._refusal is not None:
            self.refuse(self._refusal)
        else:
            self._authorize()

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        """Take a step in a callback: what it raises ends this request, as in `ClientConnection.fail`."""
        try:
            step(*arguments)
        except Exception as problem:  # noqa: BLE001 (whatever it is)
            self.client.fail(self, problem)

    def _refuse_size(self) -> None:
        self.closes = True
        self.refuse(too_large(self._gateway.limits.largest_body))

    # What it asks for

    def _authorize(self) -> None:
        gateway, context, route = self._gateway, self._context, self.route
        if context is None:
            raise TypeError("a request without a caller")
        try:
            self._check_credential_endpoint(context.caller)
            if self._size > _READ_ON_LOOP:
                self._inspect(context)
                return
            body = bytes(self.pieces[0]) if len(self.pieces) == 1 else b"".join(self.pieces)
            self.pieces = [body] if body else []
            ask = gateway.authorizer.authorize(context.caller, route, context.room, self.head, body)
        except TooMuchForLoopError:
            self._inspect(context)
        except RefusedError as problem:
            self._forbidden(context, problem)
        else:
            self._permitted(context, ask, [] if ask.body is None else [ask.body])

    def _inspect(self, context: CallerContext) -> None:
        """Have the body read off the event loop."""
        limit = self._gateway.limits.largest_expanded
        job = RequestJob(context.caller, self.route, context.room, self.head, limit)
        closing = self.client.transport.is_closing
        self._gateway.inspector.submit(
            job, self.pieces, lambda outcome: self._guarded(self._inspected, outcome), lambda: not closing()
        )

    def _inspected(self, outcome: Inspection | RefusedError) -> None:
        context = self._context
        if self.client.transport.is_closing() or context is None:
            return
        if isinstance(outcome, RefusedError):
            self._forbidden(context, outcome)
        elif isinstance(outcome.found, AuthorizedRequest):
            self._permitted(context, outcome.found, outcome.pieces)

    def _permitted(self, context: CallerContext, authorized: AuthorizedRequest, changed: Sequence[bytes]) -> None:
        """Go on with what is asked for; `changed` are the pieces of the body if it is another than the client's."""
        self.authorized = authorized
        if self.route.endpoint.reply is Reply.MODELS and b"client_version=" in self.head.target:
            self._answer_here(CODEX_MODELS)
            return
        self.provider = context.provider
        try:
            if self.provider is None:
                self.provider = context.provider = self._provider_for(context)
        except RefusedError as problem:
            self._forbidden(context, problem)
            return
        if changed:
            self.pieces = list(changed)
            self.changed = True
        self._admit(context)

    def _forbidden(self, context: CallerContext, problem: RefusedError) -> None:
        if not self._looks_up(problem):
            self._refusal = problem.refusal  # which is told once the limits have counted the request
            self._admit(context)

    def _admit(self, context: CallerContext) -> None:
        gateway, route = self._gateway, self.route
        # Each turn of a websocket is admitted on its own; a handshake that is refused counts like a request.
        if is_free(route.endpoint.path) or (self.prepared.websocket and self._refusal is None):
            self._admitted(ADMITTED)
            return
        verdict = gateway.limiter.admit(
            context.caller, route.protocol, route.endpoint.path, self._size, self.authorized.model
        )
        if isinstance(verdict, Future):
            self._pending = verdict
            verdict.add_done_callback(
                lambda done: gateway.loop.call_soon_threadsafe(self._guarded, self._decided, done)
            )
        else:
            self._admitted(verdict)

    def _check_credential_endpoint(self, caller: Caller) -> None:
        """Refuse what hands out a credential of the provider, unless this room allows it."""
        if self.route.endpoint.hands_out_credential and caller.room not in self._gateway.config.client_secret_rooms:
            raise refuse(
                403,
                "client_secrets_not_allowed",
                f"Room Proxy: {self.route.endpoint.path} hands out a credential of the provider, whose use is neither "
                f"metered nor revocable here, so it is off for the room '{caller.room}'. Connect to /v1/realtime "
                "through the proxy instead, or ask its admin to add the room to client_secrets below [rooms] in "
                "server.toml.",
            )

    def _looks_up(self, problem: RefusedError) -> bool:
        """Whether ids are asked for first that another machine may know; then it authorizes again, once for each id."""
        lookup = self._gateway.lookup
        if lookup is None or not isinstance(problem, UnknownIdError):
            return False
        if not self._looked_up.isdisjoint(problem.idents):
            return False
        self._looked_up = self._looked_up.union(problem.idents)
        lookup.ask_all(problem.idents, lambda found: self._guarded(self._found, found))
        return True

    def _found(self, found: Found) -> None:
        if self.client.transport.is_closing():
            return
        if found is Found.AWAY:
            self.refuse(NO_LOOKUP)
        else:
            self._authorize()

    def _decided(self, done: Pending) -> None:
        if self._pending is done:
            self._pending = None
            self._admitted(ADMITTED if done.exception() is not None else done.result())

    def _admitted(self, verdict: Admission | ProxyError) -> None:
        if isinstance(verdict, ProxyError):
            self.refuse(verdict)
            return
        self._admission = verdict
        if self._refusal is not None:
            self.refuse(self._refusal)
        else:
            self._forward()

    def _provider_for(self, context: CallerContext) -> Provider:
        """Return the provider of the caller's room; raises `RefusedError`."""
        protocol, room = self.route.protocol, context.room
        name = room.providers.get(protocol) if room is not None else None
        provider = self._gateway.config.provider(protocol, name)
        if provider is None:
            what = f"'{name}'" if name else f"for {protocol}"
            raise refuse(
                503, "no_provider", f"Room Proxy: no provider {what} is configured here. Ask the proxy's admin."
            )
        return provider

    def _forward(self) -> None:
        provider, caller = self.provider, self.caller
        if provider is None or caller is None:
            raise TypeError("a request without a provider or a caller")
        self._attempts = Attempts(self._gateway, self, provider, caller)
        self._attempts.start()

    # What the provider answers

    def accept(self, connection: UpstreamConnection, head: AnswerHead) -> None:
        self._attempts = None
        self.pieces = []  # nothing will be sent again
        relay = Relay(self, connection, head, self._transform_for)
        if relay.head_size > MAX_HEAD_BYTES:
            connection.drop()
            self.badly_answered("provider_head_too_large", "answered with headers of more than 8 KiB")
            return
        self._relay = relay
        connection.hand_over(relay)

    def _transform_for(self, head: AnswerHead) -> Transform | None:
        if self.caller is None:
            return None
        return transform_for(self._gateway, self.caller, self.prepared, self.authorized, head)

    def upgraded(self, connection: UpstreamConnection, head: AnswerHead, rest: bytes) -> None:
        """Become a tunnel: the provider has switched to the websocket protocol."""
        self._attempts = None
        self._gateway.exchanges.discard(self)
        self.client.open_tunnel(self, connection, head, rest)

    def badly_answered(self, code: str, what: str) -> None:
        """Refuse: the provider's answer is nothing to pass on."""
        self._attempts = None
        name = self.provider.name if self.provider is not None else ""
        message = (
            f"Room Proxy: the provider '{name}' {what}. Tell the proxy's admin: the provider's base URL may be wrong. "
            f"Request id: {self.request_id}."
        )
        self.refuse(ProxyError(status=502, code=code, message=message), Outcome.PROVIDER_ERROR)

    def unanswered(self, status: int, code: str, reason: str, *, retry: bool) -> None:
        """Refuse: no provider answers."""
        name = self.provider.name if self.provider is not None else ""
        message = (
            f"Room Proxy: the provider '{name}' gave {reason}. Try again in a moment; if it stays so, tell the proxy's "
            f"admin. Request id: {self.request_id}."
        )
        self.refuse(ProxyError(status=status, code=code, message=message, retry=retry), Outcome.UNREACHABLE)

    def relayed(self, outcome: Outcome, error: str, ending: bytes, *, keep: bool) -> None:
        """Record, send the answer's last bytes, and part from the client."""
        self._record_relayed(outcome, error)
        if ending:
            self.client.send(ending)
        self._over(keep=keep)

    def broken_off(self, error: str, *, reset: bool) -> None:
        """Record, and part from the client so that it sees that the answer is not whole."""
        self._record_relayed(Outcome.PROVIDER_CLOSED, error)
        self._gateway.exchanges.discard(self)
        self.client.abort(reset=reset)

    # How it ends

    def refuse(self, refusal: ProxyError, outcome: Outcome = Outcome.REFUSED) -> None:
        """Answer in the provider's place."""
        status, data = render(refusal, self.reader, self.request_id, close=self.closes)
        self._gateway.metrics.refused(refusal.code)
        what = {"status": refusal.status, "endpoint": self.route.endpoint.path}
        _log.debug("refused: %s", refusal.code, extra={"request_id": self.request_id, "fields": what})
        if self.caller is not None:
            self._record(status, outcome, refusal.code, None)
        self.client.send(data)
        self._over(keep=not self.closes)

    def _answer_here(self, body: bytes) -> None:
        head_only = self.head.method == b"HEAD"
        self.client.send(answer(200, body, self.request_id, close=self.closes, head_only=head_only))
        self._over(keep=not self.closes)

    def _over(self, *, keep: bool) -> None:
        """Part from the client: the last byte is written."""
        self._gateway.exchanges.discard(self)
        self.client.finish(keep=keep)

    def sweep(self, now: float) -> None:
        """End what has been silent for too long."""
        if self._attempts is not None:
            self._attempts.sweep(now)
        elif self._relay is not None:
            self._relay.sweep(now, self._gateway.limits.idle_s)

    def client_congested(self, *, congested: bool) -> None:
        if self._relay is not None:
            self._relay.pause(paused=congested)

    def client_gone(self) -> None:
        self._gateway.exchanges.discard(self)
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        if self._attempts is not None:
            self._attempts.stop()
            self._record(0, Outcome.CLIENT_CLOSED, "client_closed", None)
        elif self._relay is not None:
            self._let_go(self._relay)

    def _let_go(self, relay: Relay) -> None:
        """End an answer that nobody listens to any more, or have its end read for its usage."""
        connection = relay.take_connection()
        if connection is None:
            return
        if relay.sent_last_event:  # Codex closes as soon as it has read `response.completed`
            connection.drop()
            self._record_relayed(Outcome.OK, "")
        elif self._gateway.may_detach:
            DetachedResponse(self._gateway, connection, relay.watch, self._record_abandoned).start()
        else:
            connection.drop()
            self._record_abandoned()

    def _record_abandoned(self) -> None:
        self._record_relayed(Outcome.CLIENT_CLOSED, "client_closed")

    def failed(self, problem: Exception) -> None:
        """End: a step raised what nobody foresaw."""
        self.client.fail(self, problem)

    def break_off(self) -> None:
        """End whatever runs, after an error that nobody foresaw."""
        self._gateway.exchanges.discard(self)
        self._key_pending = False
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        if self._attempts is not None:
            self._attempts.stop()
        if self._relay is not None:
            self._relay.drop()
        if self.caller is not None:
            self._record(_INTERNAL_ERROR, Outcome.REFUSED, "internal_error", None)

    def from_client(self, data: bytes) -> None:
        """Take nothing: only a `Tunnel` switches its connection."""

    def _record_relayed(self, outcome: Outcome, error: str) -> None:
        """Write the event of an answer down, with the usage that was found in it."""
        relay = self._relay
        if relay is None:
            return
        reading = relay.usage()
        if reading is not None and reading.error and outcome is Outcome.OK:
            outcome = Outcome.PROVIDER_ERROR
        self._record(relay.status, outcome, error, reading)

    def _record(self, status: int, outcome: Outcome, error: str, reading: Reading | None) -> None:
        """Write the event down; called before the last byte goes out."""
        if self._context is None:
            return
        gateway, relay = self._gateway, self._relay
        subject = self._context.subject_of(self.route, self.head.method, self.provider)
        begun = self._begun
        entry = Entry(
            event_id=as_uuid(self.request_id[-32:]),
            request_id=self.request_id,
            started_at=self._started_at,
            streamed=False,
            status=status,
            outcome=outcome,
            model_requested=self.authorized.model,
            duration_ms=(perf_counter() - begun) * 1000,
            request_bytes=self._size,
            error=error,
        )
        if relay is not None:
            entry.streamed = relay.streamed
            entry.provider_request_id = storable(relay.provider_request_id)
            entry.ttfb_ms = (relay.first_byte_at - begun) * 1000
            entry.response_bytes = relay.received
        gateway.record(subject, entry, reading)
        if self._admission is not ADMITTED:
            gateway.limiter.settle(self._admission, entry.event(subject))
        if reading is not None and (reading.answer_id or reading.items):
            answer_id = reading.answer_id if self.authorized.tracked or self.route.endpoint.reply is _RESPONSE else ""
            gateway.owners.record_answer(self._context.caller, answer_id, reading.items, stored=self.authorized.stored)


_UNDECIDED = AuthorizedRequest()
