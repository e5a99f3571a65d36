"""The turns of one websocket: which are under way, what the provider's messages say about them, how they end."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.interface import Admission, Pending
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.lifecycle import Exchange
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.proxy.usage.turns import TurnMeter
from meshproxy_cli.proxy.websocket.turn import Turn
from meshproxy_cli.store.events import Outcome

REALTIME = "/v1/realtime"


class Turns:
    """Call `watch` with each of the provider's messages. `forbidden` hears of a turn that is begun against a limit."""

    def __init__(self, gateway: Gateway, exchange: Exchange, forbidden: Callable[[ProxyError], None]) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._forbidden = forbidden
        self._meter = TurnMeter(realtime=exchange.route.endpoint.path == REALTIME)
        self._under_way: deque[Turn] = deque()

    @property
    def under_way(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._under_way)

    def ask_limits(self, turn: Turn) -> Admission | ProxyError | Pending:
        """Return what the limits say about a turn."""
        caller, route = self._exchange.caller, self._exchange.route
        if caller is None:
            raise TypeError("a websocket without a caller")
        return self._gateway.limiter.admit(caller, route.protocol, route.endpoint.path, turn.request_bytes, turn.model)

    def begin(self, turn: Turn, admission: Admission) -> None:
        """Wait for the answer to a turn."""
        turn.admitted(admission)
        self._under_way.append(turn)

    def watch(self, payload: bytes) -> None:
        """Take in a message of the provider; what it ends is written down."""
        was_open = self._meter.open
        reading = self._meter.feed(payload)
        if self._meter.open and not was_open and not self._under_way:
            self._under_way.append(self._unasked())
        if reading is not None:
            self._record(reading, len(payload))
        elif self._under_way:
            self._under_way[0].received(len(payload))

    def finish(self, outcome: Outcome, error: str) -> None:
        """Write down what is still under way."""
        reading = self._meter.finish()
        while self._under_way:
            self._under_way.popleft().record(200, outcome, error, reading)
            reading = None

    def _record(self, reading: Reading, size: int) -> None:
        turn = self._under_way.popleft() if self._under_way and not self._meter.beside else self._unasked()
        turn.received(size)
        turn.record(200, Outcome.PROVIDER_ERROR if reading.error else Outcome.OK, "", reading)

    def _unasked(self) -> Turn:
        """Return a turn that the provider began: it counts towards the limits, which can end the websocket only."""
        turn = Turn(self._gateway, self._exchange, self._exchange.authorized.model, 0)
        verdict = self.ask_limits(turn)
        if isinstance(verdict, Future):
            loop = self._gateway.loop
            verdict.add_done_callback(lambda done: loop.call_soon_threadsafe(self._unasked_decided, done, turn))
        else:
            self._unasked_admitted(verdict, turn)
        return turn

    def _unasked_decided(self, done: Pending, turn: Turn) -> None:
        if not done.cancelled() and done.exception() is None:
            self._unasked_admitted(done.result(), turn)

    def _unasked_admitted(self, verdict: Admission | ProxyError, turn: Turn) -> None:
        if isinstance(verdict, ProxyError):
            self._forbidden(verdict)
        else:
            turn.admitted(verdict)
