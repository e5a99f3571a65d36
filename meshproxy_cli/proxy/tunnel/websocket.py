"""A websocket through the proxy: what the client sends is checked first, what the provider sends is watched as it goes.

The provider was connected before the client got its 101. Each `response.create` is a request of its own: it is
authenticated again (a key may have been revoked meanwhile), its model and limits are checked, its usage is recorded.
"""

import contextlib
import json
from concurrent.futures import Future
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.guard import AnswerHead
from meshproxy_cli.proxy.limits import ADMITTED, Admission, Pending
from meshproxy_cli.proxy.refusal import Agent, Refusal, RefusedError, reader_of
from meshproxy_cli.proxy.tunnel.frames import FrameError, Message, MessageReader, Opcode, close_frame, text_frame
from meshproxy_cli.proxy.tunnel.turn import Turn
from meshproxy_cli.proxy.usage.turns import TurnMeter
from meshproxy_cli.store.events import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshproxy_cli.proxy.exchange import Exchange
    from meshproxy_cli.proxy.gateway import Gateway
    from meshproxy_cli.proxy.upstream import UpstreamConnection

_PROTOCOL_ERROR = 1002
_POLICY = 1008
_AWAY = 1011
_IDLE_WITHOUT_TURN_S = 3600.0
_DATA = frozenset({Opcode.TEXT, Opcode.BINARY})


class Tunnel:
    """The listener's `Handler` and the provider connection's `Sink`, once both sides speak websocket."""

    def __init__(self, gateway: "Gateway", exchange: "Exchange", connection: "UpstreamConnection") -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._client = exchange.client
        self._connection = connection
        limit = gateway.limits.largest_body
        self._from_client = MessageReader(masked=True, limit=limit)
        self._from_provider: MessageReader | None = MessageReader(masked=False, limit=2 * limit)
        self._meter = TurnMeter()
        self._turns: list[Turn] = []
        self._waiting: list[Message] = []  # of the client, while the limits decide about the first
        self._pending: Pending | None = None
        self._over = False
        self._touched = gateway.loop.time()
        self._room = (
            gateway.directory.room(exchange.caller.project_id, exchange.caller.room) if exchange.caller else None
        )
        reader = reader_of(exchange.head, exchange.route, stream=True)
        self._codex = reader.agent is Agent.CODEX
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

    def tunnel_data(self, data: bytes) -> None:
        """Take bytes of the provider (see `from_client` for the other side)."""
        self._touched = self._gateway.loop.time()
        reader = self._from_provider
        if reader is not None:
            try:
                for message in reader.feed(data):
                    self._watch(message)
            except FrameError:
                self._from_provider = None  # what can't be read can't be metered; it goes through all the same
                self._gateway.ledger.counters.unmetered += 1
        self._client.send(data)

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._touched = self._gateway.loop.time()
        try:
            messages = self._from_client.feed(data)
        except FrameError as problem:
            self._end(_PROTOCOL_ERROR, str(problem))
            return
        self._waiting.extend(messages)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._pending is None and not self._over:
            self._take(self._waiting.pop(0))
        congested = self._pending is not None
        transport = self._client.transport
        if not transport.is_closing():
            (transport.pause_reading if congested else transport.resume_reading)()

    def _take(self, message: Message) -> None:
        if message.opcode not in _DATA:
            self._connection.write(message.raw)
            return
        exchange = self._exchange
        try:
            caller = self._gateway.authenticator.caller(exchange.head, exchange.route)
            event = self._gateway.authoriser.event(caller, self._room, message.payload, named=exchange.ask.model)
        except RefusedError as problem:
            self._refuse(problem.refusal)
            return
        if not event.creates:
            self._connection.write(message.raw)
            return
        turn = Turn(self._gateway, exchange, event.model or exchange.ask.model, len(message.payload))
        verdict = self._gateway.limiter.admit(
            caller, exchange.route.protocol, exchange.route.endpoint.path, len(message.payload), turn.model
        )
        if isinstance(verdict, Future):
            self._pending = verdict
            loop = self._gateway.loop
            verdict.add_done_callback(lambda done: loop.call_soon_threadsafe(self._decided, done, turn, message))
        else:
            self._admitted(verdict, turn, message)

    def _decided(self, done: Pending, turn: Turn, message: Message) -> None:
        if self._pending is done:
            self._pending = None
            self._admitted(ADMITTED if done.exception() is not None else done.result(), turn, message)
            self._go_on()

    def _admitted(self, verdict: Admission | Refusal, turn: Turn, message: Message) -> None:
        if isinstance(verdict, Refusal):
            self._refuse(verdict)
            return
        turn.admission = verdict
        self._turns.append(turn)
        self._connection.write(message.raw)

    def _refuse(self, refusal: Refusal) -> None:
        """Tell the client in an event; the provider hears nothing of its message."""
        self._gateway.metrics.refused(refusal.code)
        Turn(self._gateway, self._exchange, "", 0).record(refusal.status, Outcome.REFUSED, refusal.code, None)
        error = {"type": "invalid_request_error", "code": refusal.code, "message": refusal.message}
        event: dict[str, object] = {"type": "error", "status": refusal.status, "error": error}
        if self._codex:
            failure = {"code": "invalid_prompt", "message": refusal.message}
            response = {"id": "resp_refused", "object": "response", "status": "failed", "error": failure, "output": []}
            event = {"type": "response.failed", "response": response}
        self._client.send(text_frame(json.dumps(event).encode()))
        if refusal.status == 401:  # noqa: PLR2004 (the token itself: nothing more can work here)
            self._end(_POLICY, refusal.code)

    # From the provider

    def _watch(self, message: Message) -> None:
        if message.opcode not in _DATA:
            return
        if self._turns:
            self._turns[0].received(len(message.payload))
        reading = self._meter.feed(message.payload)
        if reading is None:
            return
        turn = self._turns.pop(0) if self._turns else Turn(self._gateway, self._exchange, self._exchange.ask.model, 0)
        turn.record(200, Outcome.PROVIDER_ERROR if reading.error else Outcome.OK, "", reading)

    def answer_started(self, head: AnswerHead) -> None:
        """Never called: the answer was the switch."""

    def answer_data(self, raw: bytes, pieces: "Sequence[bytes]", *, last: bool) -> None:
        """Never called: the answer was the switch."""

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Never called: the answer was the switch."""

    def answer_broken(self, reason: str) -> None:
        del reason
        self._finish(Outcome.PROVIDER_CLOSED, "provider_closed")
        self._client.close()

    # Flow and end

    def upstream_congested(self, *, congested: bool) -> None:
        transport = self._client.transport
        if not transport.is_closing():
            (transport.pause_reading if congested else transport.resume_reading)()

    def client_congested(self, *, congested: bool) -> None:
        transport = self._connection.transport
        if not transport.is_closing():
            (transport.pause_reading if congested else transport.resume_reading)()

    def client_gone(self) -> None:
        self._finish(Outcome.CLIENT_CLOSED, "client_closed")

    def sweep(self, now: float) -> None:
        """End a websocket on which nothing moves any more."""
        limit = self._gateway.limits.idle_s if self._turns else _IDLE_WITHOUT_TURN_S
        if now - self._touched > limit:
            self._end(_AWAY, f"nothing was sent for {limit:.0f} seconds")

    def drain(self) -> None:
        """End it because the server stops; a turn under way is waited for."""
        if not self._turns:
            self._end(1001, "the server is restarting")

    def _end(self, code: int, reason: str) -> None:
        if self._over:
            return
        with contextlib.suppress(OSError):
            self._client.send(close_frame(code, reason))
        self._finish(Outcome.CLIENT_CLOSED if code == _PROTOCOL_ERROR else Outcome.PROVIDER_CLOSED, "closed")
        self._client.close()

    def _finish(self, outcome: Outcome, code: str) -> None:
        if self._over:
            return
        self._over = True
        self._gateway.tunnels.discard(self)
        if self._pending is not None:
            self._gateway.limiter.abandon(self._pending)
            self._pending = None
        self._connection.drop()
        reading = self._meter.finish()
        for place, turn in enumerate(self._turns):
            turn.record(200, outcome, code, reading if place == 0 else None)
        self._turns = []
