"""A websocket through the proxy: what the client sends is checked first, what the provider sends is watched as it goes.

The provider was connected before the client got its 101. Each `response.create` is a request of its own: it is
authenticated again (a key may have been revoked meanwhile), its model and limits are checked, its usage is recorded.
"""

from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.core.errors import Refusal, RefusedError, UnknownIdError, reader_of, refused_turn, too_large
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, Pending
from meshproxy_cli.proxy.ownership.lookup import NO_LOOKUP, Found
from meshproxy_cli.proxy.request.aliases import with_real_models
from meshproxy_cli.proxy.websocket.downstream import Downstream
from meshproxy_cli.proxy.websocket.frames import (
    FrameError,
    Message,
    MessageReader,
    MessageTooLargeError,
    Opcode,
    client_frame,
    close_frame,
    text_frame,
)
from meshproxy_cli.proxy.websocket.turn import Turn
from meshproxy_cli.proxy.websocket.turns import Turns
from meshproxy_cli.store.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.request.lifecycle import Exchange
    from meshproxy_cli.proxy.upstream.connection import UpstreamConnection

_GOING_AWAY = 1001
_PROTOCOL_ERROR = 1002
_POLICY = 1008
_TOO_BIG = 1009
_INTERNAL = 1011
_UNAUTHORIZED = 401
_IDLE_WITHOUT_TURN_S = 3600.0
_WAITING_BYTES = 64 * 1024  # read on up to there, since a client that leaves is only heard of while it is read from
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY})


class Tunnel:
    """A `Handler`, and the provider connection's `Sink`, once both sides speak websocket."""

    def __init__(self, gateway: "Gateway", exchange: "Exchange", connection: "UpstreamConnection") -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._client = exchange.client
        self._connection = connection
        limit = gateway.limits.largest_body
        self._from_client = MessageReader(masked=True, limit=limit)
        self._downstream = Downstream(exchange.client, 2 * limit)
        self._turns = Turns(gateway, exchange, self._forbidden)
        self._waiting: deque[Message] = deque()  # of the client, while the limits decide about the first
        self._pending: Pending | None = None
        self._looking_up = False
        self._looked_up = ""  # the id last asked for that another machine may know
        self._congested = False
        self._closer: Outcome | None = None  # what it means for a turn that is under way that one side says goodbye
        self._answered_goodbye = False
        self._over = False
        self._touched = gateway.loop.time()
        self._agent = reader_of(exchange.head, exchange.route, stream=True).agent
        gateway.tunnels.add(self)

    @property
    def wants_more(self) -> bool:
        return True

    def begin(self) -> bool:
        return True

    def body_piece(self, data: bytes) -> bool:
        del data
        return True

    def body_complete(self, trailers: list[bytes]) -> None:
        """Take no notice: the request that became this tunnel is over."""

    # From the client

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._touched = self._gateway.loop.time()
        try:
            messages = self._from_client.feed(data)
        except MessageTooLargeError:
            self._refuse(too_large(self._gateway.limits.largest_body))
            self._end(_TOO_BIG, "request_too_large", Outcome.CLIENT_CLOSED)
            return
        except FrameError as problem:
            self._end(_PROTOCOL_ERROR, str(problem), Outcome.CLIENT_CLOSED)
            return
        self._waiting.extend(messages)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and not self._undecided and not self._over:
            self._take(self._waiting.popleft())
        self._hold_client()

    @property
    def _undecided(self) -> bool:
        return self._pending is not None or self._looking_up

    def _hold_client(self) -> None:
        """Read no more from the client while much waits for a decision, or the provider does not keep up."""
        transport = self._client.transport
        if not transport.is_closing():
            waiting = sum(len(message.raw) for message in self._waiting)
            held = self._congested or waiting > _WAITING_BYTES
            (transport.pause_reading if held else transport.resume_reading)()

    def _take(self, message: Message) -> None:
        if message.opcode not in _DATA:
            if message.opcode is Opcode.CLOSE:
                self._closer = self._closer or Outcome.CLIENT_CLOSED
            self._connection.write(message.raw)
            return
        exchange, gateway = self._exchange, self._gateway
        try:
            caller = gateway.authenticator.caller(exchange.head, exchange.route)
            room = gateway.directory.room(caller.project_id, caller.room)
            payload = message.payload if room is None else with_real_models(message.payload, room.aliases)
            event = gateway.authoriser.event(caller, room, payload, named=exchange.ask.model)
        except RefusedError as problem:
            if not self._looks_up(problem, message):
                self._refuse(problem.refusal)
            return
        raw = message.raw if payload == message.payload else client_frame(message.opcode, payload)
        if not event.creates:
            self._connection.write(raw)
            return
        turn = Turn(gateway, exchange, event.model or exchange.ask.model, len(message.payload))
        turn.stored = event.stored
        self._admit(turn, raw)

    def _looks_up(self, problem: RefusedError, message: Message) -> bool:
        """Whether an id is asked for first that another machine may know; the message is then taken once more."""
        lookup = self._gateway.lookup
        if lookup is None or not isinstance(problem, UnknownIdError) or problem.ident == self._looked_up:
            self._looked_up = ""
            return False
        self._looked_up, self._looking_up = problem.ident, True
        self._waiting.appendleft(message)
        lookup.ask(problem.ident, self._found)
        return True

    def _found(self, found: Found) -> None:
        self._looking_up = False
        if self._over:
            return
        if found is Found.AWAY:
            self._looked_up = ""
            self._waiting.popleft()
            self._refuse(NO_LOOKUP)
        self._go_on()

    def _admit(self, turn: Turn, raw: bytes) -> None:
        verdict = self._turns.ask_limits(turn)
        if isinstance(verdict, Future):
            self._pending = verdict
            loop = self._gateway.loop
            verdict.add_done_callback(lambda done: loop.call_soon_threadsafe(self._decided, done, turn, raw))
        else:
            self._admitted(verdict, turn, raw)

    def _decided(self, done: Pending, turn: Turn, raw: bytes) -> None:
        if self._pending is done:
            self._pending = None
            self._admitted(ADMITTED if done.exception() is not None else done.result(), turn, raw)
            self._go_on()

    def _admitted(self, verdict: Admission | Refusal, turn: Turn, raw: bytes) -> None:
        if isinstance(verdict, Refusal):
            self._refuse(verdict)
            return
        self._turns.begin(turn, verdict)
        self._connection.write(raw)

    def _refuse(self, refusal: Refusal) -> None:
        """Tell the client in an event; the provider hears nothing of its message."""
        exchange = self._exchange
        self._gateway.metrics.refused(refusal.code)
        Turn(self._gateway, exchange, "", 0).record(refusal.status, Outcome.REFUSED, refusal.code, None)
        self._downstream.insert(text_frame(refused_turn(refusal, self._agent, exchange.request_id)))
        if refusal.status == _UNAUTHORIZED:  # nothing more can work here
            self._end(_POLICY, refusal.code, Outcome.REFUSED)

    # From the provider

    def tunnel_data(self, data: bytes) -> None:
        """Take bytes of the provider (see `from_client` for the other side)."""
        self._touched = self._gateway.loop.time()
        readable = self._downstream.readable
        for message in self._downstream.read(data):
            self._watch(message)
        if readable and not self._downstream.readable:
            self._gateway.ledger.counters.unmetered += 1
        if self._over:
            return
        self._downstream.send(data)
        if self._answered_goodbye:
            self._finish(Outcome.CLIENT_CLOSED, "client_closed")
            self._client.close()
        elif self._gateway.draining:
            self.drain()

    def _watch(self, message: Message) -> None:
        if message.opcode not in _DATA:
            if message.opcode is Opcode.CLOSE:
                self._answered_goodbye = self._closer is Outcome.CLIENT_CLOSED
                self._closer = self._closer or Outcome.PROVIDER_CLOSED
            return
        self._turns.watch(message.payload)

    def _forbidden(self, refusal: Refusal) -> None:
        """End it because the provider began a turn that a limit forbids."""
        if not self._over:
            self._refuse(refusal)
            self._gateway.loop.call_soon(self._end, _POLICY, refusal.code, Outcome.REFUSED)

    def answer_started(self, head: AnswerHead) -> None:
        """Never called: the answer was the switch."""

    def answer_data(self, raw: bytes, pieces: "Sequence[bytes]", *, last: bool) -> None:
        """Never called: the answer was the switch."""

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        """Never called: the same."""

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Never called: the answer was the switch."""

    def answer_broken(self, reason: str) -> None:
        """End with the provider's connection; a client that it said no goodbye to hears one of us."""
        if self._closer is None:
            self._downstream.insert(close_frame(_INTERNAL, reason))
        self._finish(self._closer or Outcome.PROVIDER_CLOSED, "provider_closed")
        self._client.close()

    # Flow and end

    def upstream_congested(self, *, congested: bool) -> None:
        self._congested = congested
        self._hold_client()

    def client_congested(self, *, congested: bool) -> None:
        transport = self._connection.transport
        if not transport.is_closing():
            (transport.pause_reading if congested else transport.resume_reading)()

    def client_gone(self) -> None:
        self._finish(self._closer or Outcome.CLIENT_CLOSED, "client_closed")

    def sweep(self, now: float) -> None:
        """End a websocket on which nothing moves any more."""
        limit = self._gateway.limits.idle_s if self._turns.under_way else _IDLE_WITHOUT_TURN_S
        if now - self._touched > limit:
            self._end(_INTERNAL, f"nothing was sent for {limit:.0f} seconds", Outcome.PROVIDER_CLOSED)

    def drain(self) -> None:
        """End it because the server stops; a turn under way is waited for."""
        if not self._turns.under_way and not self._undecided:
            self._end(_GOING_AWAY, "the server is restarting", Outcome.OK)

    def _end(self, code: int, reason: str, outcome: Outcome) -> None:
        if self._over:
            return
        self._downstream.insert(close_frame(code, reason))
        self._finish(outcome, reason)
        self._client.close()

    def _finish(self, outcome: Outcome, error: str) -> None:
        if self._over:
            return
        self._over = True
        self._gateway.tunnels.discard(self)
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        self._connection.drop()
        self._turns.finish(outcome, error)
