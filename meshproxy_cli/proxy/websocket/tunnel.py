"""A websocket through the proxy: what the client sends is checked first, what the provider sends is watched as it goes.

The provider was connected before the client got its 101. Each `response.create` is a request of its own: it is
authenticated again (a key may have been revoked meanwhile), its model and limits are checked, its usage is recorded.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http import HTTPStatus

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import (
    ProxyError,
    RefusedError,
    UnknownIdError,
    client_profile,
    refused_turn,
    too_large,
)
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.http1.pieces import Piece
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, Pending
from meshproxy_cli.proxy.ownership.lookup import NO_LOOKUP, Found
from meshproxy_cli.proxy.request.aliases import with_real_models
from meshproxy_cli.proxy.request.authorization import ON_LOOP, ClientEvent, TooMuchForLoopError
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.inspector import EventJob
from meshproxy_cli.proxy.request.inspector import Outcome as Inspection
from meshproxy_cli.proxy.request.lifecycle import Exchange
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
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
from meshproxy_cli.proxy.websocket.slices import Slices
from meshproxy_cli.proxy.websocket.turn import Turn
from meshproxy_cli.proxy.websocket.turns import REALTIME, Turns
from meshproxy_cli.store.events import Outcome
from meshproxy_cli.store.records import Room

_GOING_AWAY = 1001
_PROTOCOL_ERROR = 1002
_POLICY = 1008
_TOO_BIG = 1009
_INTERNAL = 1011
_IDLE_WITHOUT_TURN_S = 3600.0
_WAITING_BYTES = 64 * 1024  # read on up to there, since a client that leaves is only heard of while it is read from
_AT_ONCE = 16  # messages, each of which may take a tenth of a millisecond
_MESSAGE_BYTES = 64  # that a message takes at least, so that many empty ones count too
_READ_ON_LOOP = (ON_LOOP.size or 0) // 2  # since a message is read twice, once for aliases
_CONTROL_FRAMES = 100  # pings and pongs that may come at once; clients send one every 20 seconds
_CONTROL_FRAMES_PER_S = 10.0
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY})


def _weight(message: Message) -> int:
    """Return what a message that waits counts."""
    return message.size + _MESSAGE_BYTES


class ControlMeter:
    """Counts the control frames that a client may send still."""

    def __init__(self, now: float) -> None:
        self._left = float(_CONTROL_FRAMES)
        self._at = now

    def take(self, now: float) -> bool:
        """Count one; False where it is one too many."""
        self._left = min(_CONTROL_FRAMES, self._left + (now - self._at) * _CONTROL_FRAMES_PER_S) - 1
        self._at = now
        return self._left >= 0


class Tunnel:
    """A `Handler`, and the provider connection's `Sink`, once both sides speak websocket."""

    def __init__(self, gateway: Gateway, exchange: Exchange, connection: UpstreamConnection) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._client = exchange.client
        self._connection = connection
        limit = gateway.limits.largest_body
        self._from_client = MessageReader(masked=True, limit=limit)
        self._client_slices = Slices(gateway.loop, self._read_client, self._hold_client)
        self._provider_slices = Slices(gateway.loop, self._read_provider, self._hold_provider)
        self._controls = ControlMeter(gateway.loop.time())
        self._client_congested = False
        self._downstream = Downstream(exchange.client, 2 * limit)
        self._turns = Turns(gateway, exchange, self._forbidden)
        self._waiting: deque[Message] = deque()  # of the client, while the limits decide about the first
        self._waiting_bytes = 0
        self._pending: Pending | None = None
        self._looking_up = False
        self._looked_up: frozenset[str] = frozenset()  # ids of the message that another machine was asked for
        self._inspecting = False
        self._scheduled = False  # whether messages are taken in the next turn of the event loop
        self._congested = False
        self._closer: Outcome | None = None  # what it means for a turn that is under way that one side says goodbye
        self._answered_goodbye = False
        self._over = False
        self._touched = gateway.loop.time()
        self._realtime = exchange.route.endpoint.path == REALTIME
        self.request_id = exchange.request_id
        self.reader = client_profile(exchange.head, exchange.route, stream=True)
        self.answered = True  # with the switch
        self._agent = self.reader.agent
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

    def break_off(self) -> None:
        """Close both sides after an error that nobody foresaw."""
        self._end(_INTERNAL, "internal error", Outcome.REFUSED)

    def failed(self, problem: Exception) -> None:
        self._client.fail(self, problem)

    # From the client

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._touched = self._gateway.loop.time()
        self._client_slices.add(data)

    def _read_client(self, data: bytes) -> None:
        if self._over:
            return
        try:
            messages = self._from_client.feed(data)
        except MessageTooLargeError:
            self._refuse(too_large(self._gateway.limits.largest_body))
            self._end(_TOO_BIG, "request_too_large", Outcome.CLIENT_CLOSED)
            return
        except FrameError as problem:
            self._end(_PROTOCOL_ERROR, str(problem), Outcome.CLIENT_CLOSED)
            return
        self._client_slices.wanted = self._from_client.wanted
        self._waiting.extend(messages)
        self._waiting_bytes += sum(map(_weight, messages))
        if not self._scheduled:
            self._go_on()

    def _go_on(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._waiting or self._undecided or self._over:
                break
            self._take(self._next_waiting())
        else:
            self._more_later()
        self._hold_client()

    def _next_waiting(self) -> Message:
        message = self._waiting.popleft()
        self._waiting_bytes -= _weight(message)
        return message

    def _more_later(self) -> None:
        """Take further messages in the event loop's next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._gateway.loop.call_soon(self._take_more)

    def _take_more(self) -> None:
        self._scheduled = False
        self._go_on()

    @property
    def _undecided(self) -> bool:
        return self._pending is not None or self._looking_up or self._inspecting

    def _hold_client(self) -> None:
        """Read no more from the client while much waits for a decision, or the provider does not keep up."""
        transport = self._client.transport
        if not transport.is_closing():
            held = self._congested or self._client_slices.busy or self._waiting_bytes > _WAITING_BYTES
            (transport.pause_reading if held else transport.resume_reading)()

    def _take(self, message: Message) -> None:
        if message.opcode not in _DATA:
            if message.opcode is Opcode.CLOSE:
                self._closer = self._closer or Outcome.CLIENT_CLOSED
            if not self._controls.take(self._gateway.loop.time()):
                self._end(_POLICY, "too many control frames", Outcome.CLIENT_CLOSED)
                return
            self._connection.write(message.raw)
            return
        exchange, gateway = self._exchange, self._gateway
        try:
            caller = gateway.authenticator.caller(exchange.head, exchange.route)
            room = gateway.directory.room(caller.project_id, caller.room)
            if message.size > _READ_ON_LOOP:
                self._inspect(message, caller, room)
                return
            said = message.payload
            payload = said if room is None else with_real_models(said, room.aliases)
            event = gateway.authorizer.event(
                caller, room, payload, named=exchange.authorized.model, realtime=self._realtime
            )
        except TooMuchForLoopError:
            self._inspect(message, caller, room)
            return
        except RefusedError as problem:
            self._refused(problem, message)
            return
        raw = message.raw_pieces if payload == said else [client_frame(message.opcode, payload)]
        self._allowed(message, event, raw)

    def _inspect(self, message: Message, caller: Caller, room: Room | None) -> None:
        """Have a large message read off the event loop."""
        gateway = self._gateway
        self._inspecting = True
        job = EventJob(
            caller, room, self._exchange.authorized.model, gateway.limits.largest_expanded, realtime=self._realtime
        )
        gateway.inspector.submit(
            job,
            message.payload_pieces,
            lambda outcome: self._guarded(self._inspected, outcome, message),
            lambda: not self._over,
        )

    def _inspected(self, outcome: Inspection | RefusedError, message: Message) -> None:
        self._inspecting = False
        if self._over:
            return
        if isinstance(outcome, RefusedError):
            self._refused(outcome, message)
        elif isinstance(outcome.found, ClientEvent):
            changed = [client_frame(message.opcode, b"".join(outcome.pieces))] if outcome.pieces else None
            self._allowed(message, outcome.found, changed or message.raw_pieces)
        self._go_on()

    def _refused(self, problem: RefusedError, message: Message) -> None:
        if problem.refusal.status == HTTPStatus.UNAUTHORIZED:
            self._refuse(problem.refusal)
        elif not self._looks_up(problem, message):
            turn = Turn(self._gateway, self._exchange, "", message.size)
            turn.refusal = problem.refusal  # which is told once the limits have counted it
            self._admit(turn, ())

    def _allowed(self, message: Message, event: ClientEvent, raw: Sequence[Piece]) -> None:
        exchange = self._exchange
        self._looked_up = frozenset()
        if not event.creates:
            self._connection.write_all(raw)
            return
        turn = Turn(self._gateway, exchange, event.model or exchange.authorized.model, message.size)
        turn.stored = event.stored
        self._admit(turn, raw)

    def _looks_up(self, problem: RefusedError, message: Message) -> bool:
        """Whether ids are asked for first that another machine may know; the message is then taken once more."""
        lookup = self._gateway.lookup
        if lookup is None or not isinstance(problem, UnknownIdError) or not self._looked_up.isdisjoint(problem.idents):
            self._looked_up = frozenset()
            return False
        self._looked_up, self._looking_up = self._looked_up.union(problem.idents), True
        self._waiting.appendleft(message)
        self._waiting_bytes += _weight(message)
        lookup.ask_all(problem.idents, lambda found: self._guarded(self._found, found))
        return True

    def _guarded(self, step: Callable[..., None], *arguments: object) -> None:
        """Take a step in a callback: what it raises ends this websocket, as in `ClientConnection.fail`."""
        try:
            step(*arguments)
        except Exception as problem:  # noqa: BLE001 (whatever it is)
            self._client.fail(self, problem)

    def _found(self, found: Found) -> None:
        self._looking_up = False
        if self._over:
            return
        if found is Found.AWAY:
            self._looked_up = frozenset()
            self._next_waiting()
            self._refuse(NO_LOOKUP)
        self._go_on()

    def _admit(self, turn: Turn, raw: "Sequence[Piece]") -> None:
        verdict = self._turns.ask_limits(turn)
        if isinstance(verdict, Future):
            self._pending = verdict
            loop = self._gateway.loop
            verdict.add_done_callback(
                lambda done: loop.call_soon_threadsafe(self._guarded, self._decided, done, turn, raw)
            )
        else:
            self._admitted(verdict, turn, raw)

    def _decided(self, done: Pending, turn: Turn, raw: "Sequence[Piece]") -> None:
        if self._pending is done:
            self._pending = None
            self._admitted(ADMITTED if done.exception() is not None else done.result(), turn, raw)
            self._go_on()

    def _admitted(self, verdict: Admission | ProxyError, turn: Turn, raw: "Sequence[Piece]") -> None:
        if isinstance(verdict, ProxyError):
            self._refuse(verdict)
            return
        if turn.refusal is not None:
            turn.admitted(verdict)
            self._refuse(turn.refusal, turn)
            return
        self._turns.begin(turn, verdict)
        self._connection.write_all(raw)

    def _refuse(self, refusal: ProxyError, turn: Turn | None = None) -> None:
        """Tell the client in an event; the provider hears nothing of its message. `turn`: what is refused."""
        exchange = self._exchange
        self._gateway.metrics.refused(refusal.code)
        turn = turn or Turn(self._gateway, exchange, "", 0)
        turn.record(refusal.status, Outcome.REFUSED, refusal.code, None)
        self._downstream.insert(text_frame(refused_turn(refusal, self._agent, exchange.request_id)))
        if refusal.status == HTTPStatus.UNAUTHORIZED:  # nothing more can work here
            self._end(_POLICY, refusal.code, Outcome.REFUSED)

    # From the provider

    def tunnel_data(self, data: bytes) -> None:
        """Take bytes of the provider (see `from_client` for the other side)."""
        self._touched = self._gateway.loop.time()
        self._provider_slices.add(data)

    def _read_provider(self, data: bytes) -> None:
        readable = self._downstream.readable
        for message in self._downstream.read(data):
            self._watch(message)
        if readable and not self._downstream.readable:
            self._gateway.ledger.counters.unmetered += 1
        if self._over:
            return
        self._provider_slices.wanted = self._downstream.wanted
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

    def _forbidden(self, refusal: ProxyError) -> None:
        """End it because the provider began a turn that a limit forbids."""
        if not self._over:
            self._refuse(refusal)
            self._gateway.loop.call_soon(self._end, _POLICY, refusal.code, Outcome.REFUSED)

    def answer_started(self, head: AnswerHead) -> None:
        """Never called: the answer was the switch."""

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        """Never called: the answer was the switch."""

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        """Never called: the same."""

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Never called: the answer was the switch."""

    def answer_broken(self, reason: str) -> None:
        """End with the provider's connection; a client that it said no goodbye to hears one of us."""
        self._provider_slices.finish(lambda: self._broken(reason))

    def _broken(self, reason: str) -> None:
        if self._closer is None:
            self._downstream.insert(close_frame(_INTERNAL, reason))
        self._finish(self._closer or Outcome.PROVIDER_CLOSED, "provider_closed")
        self._client.close()

    # Flow and end

    def upstream_congested(self, *, congested: bool) -> None:
        self._congested = congested
        self._hold_client()

    def client_congested(self, *, congested: bool) -> None:
        self._client_congested = congested
        self._hold_provider()

    def _hold_provider(self) -> None:
        """Read no more from the provider while bytes of it wait, or the client does not keep up."""
        transport = self._connection.transport
        if not transport.is_closing():
            held = self._client_congested or self._provider_slices.busy
            (transport.pause_reading if held else transport.resume_reading)()

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
        self._client_slices.drop()
        self._provider_slices.drop()
        self._gateway.tunnels.discard(self)
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        self._connection.drop()
        self._turns.finish(outcome, error)
