"""One turn on a websocket, as the limits and the ledger see it."""

from datetime import UTC, datetime
from time import perf_counter

from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.core.ids import new_event_id
from meshproxy_cli.proxy.events.entry import Entry, subject_of
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.request.lifecycle import Exchange
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome, UsageEvent


class Turn:
    """From a client's `response.create` to the provider's event that ends the response.

    Realtime's providers begin responses, and transcribe, unasked too: such a turn begins with their message.
    """

    def __init__(self, gateway: Gateway, exchange: Exchange, model: str, request_bytes: int) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self.model = model
        self.refusal: ProxyError | None = None  # what is answered in the provider's place, whatever the limits say
        self.stored = True  # by the provider, so that another websocket may go on from it
        self._admission: Admission = ADMITTED
        self._event: UsageEvent | None = None
        self._request_bytes = request_bytes
        self._response_bytes = 0
        self._begun = perf_counter()
        self._started_at = datetime.now(UTC)
        self._first_byte_at = 0.0

    @property
    def request_bytes(self) -> int:
        """Size of the client's message."""
        return self._request_bytes

    def admitted(self, admission: Admission) -> None:
        """Take the limits' leave, which may come after the end."""
        self._admission = admission
        self._settle()

    def _settle(self) -> None:
        admission, event = self._admission, self._event
        if event is not None and admission is not ADMITTED:
            self._admission = ADMITTED
            self._gateway.limiter.settle(admission, event)

    def received(self, size: int) -> None:
        """Count a message of the provider."""
        if not self._response_bytes:
            self._first_byte_at = perf_counter()
        self._response_bytes += size

    def record(self, status: int, outcome: Outcome, error: str, reading: Reading | None) -> None:
        """Write the turn's event down."""
        exchange, gateway = self._exchange, self._gateway
        caller = exchange.caller
        if caller is None:
            return
        provider = exchange.provider.name if exchange.provider is not None else exchange.route.protocol
        subject = subject_of(caller, provider, exchange.route.endpoint.path, "GET")
        entry = Entry(
            event_id=new_event_id(),
            request_id=exchange.request_id,
            started_at=self._started_at,
            streamed=True,
            status=status,
            outcome=outcome,
            model_requested=self.model,
            ttfb_ms=(self._first_byte_at - self._begun) * 1000 if self._first_byte_at else None,
            duration_ms=(perf_counter() - self._begun) * 1000,
            request_bytes=self._request_bytes,
            response_bytes=self._response_bytes,
            error=error,
        )
        gateway.record(subject, entry, reading)
        self._event = entry.event(subject)
        self._settle()
        if reading is not None:
            gateway.owners.record_answer(caller, reading.answer_id, reading.items, stored=self.stored)
