"""An answer on its way back: framing kept, usage watched, the event recorded before the last byte goes."""

from collections.abc import Sequence
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.core.errors import Refusal, error_event
from meshproxy_cli.proxy.core.routes import PASSED_ON
from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, chunk
from meshproxy_cli.proxy.http1.head import CHUNKED, AnswerHead
from meshproxy_cli.proxy.request.forwarded_headers import answer_head
from meshproxy_cli.proxy.request.transforms import Transform, TransformError
from meshproxy_cli.proxy.usage.meter import Meter, meter_for
from meshproxy_cli.store.events import Outcome

if TYPE_CHECKING:
    from meshproxy_cli.proxy.request.attempts import Forwarder
    from meshproxy_cli.proxy.request.gateway import Gateway
    from meshproxy_cli.proxy.request.lifecycle import Exchange

_OK = 200
_METERED_AT_ONCE = 4096
_FIRST_ERROR = 400
_BODYLESS = frozenset({204, 304})


class Relay:
    """Passes one answer of a provider to the client, as a `Sink`."""

    __slots__ = (
        "_closes", "_exchange", "_forwarder", "_gateway", "_head", "_meter", "_passes", "_pending", "_rechunks",
        "_transform", "_unframed", "_unread", "_unread_bytes", "_write", "first_byte_at", "received", "status",
        "streamed",
    )  # fmt: skip

    def __init__(self, gateway: "Gateway", exchange: "Exchange", forwarder: "Forwarder") -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._forwarder = forwarder
        self._head: AnswerHead | None = None
        self._meter: Meter | None = None
        self._unread: list[bytes] = []  # pieces of the body that the meter has not seen yet
        self._unread_bytes = 0
        self._write = exchange.client.transport.write
        self._pending = b""  # the head that goes out, until the first bytes of the body are there
        self._transform: Transform | None = None
        self._passes = False  # whether the head is out, and the body goes as it comes
        self._rechunks = False
        self._unframed = False
        self._closes = False
        self.first_byte_at = 0.0
        self.received = 0
        self.status = 0  # of the answer, 0 while there is none
        self.streamed = False  # whether the answer is a stream of events

    @property
    def provider_request_id(self) -> str:
        """The id that the provider gave its answer, "" where it gave none."""
        known = {} if self._head is None else self._head.known
        given = known.get(b"x-request-id") or known.get(b"request-id")
        return given[:200].decode("latin-1") if given else ""

    def answer_started(self, head: AnswerHead) -> None:
        exchange = self._exchange
        if self._forwarder.declines(head):
            return
        self.first_byte_at = perf_counter()
        self._head = head
        self.status = head.status
        route, content_type = exchange.route, head.value(b"content-type")
        self.streamed = b"event-stream" in content_type
        self._meter = meter_for(
            protocol=route.protocol,
            endpoint=route.endpoint.path,
            status=head.status,
            content_type=content_type,
            content_encoding=head.value(b"content-encoding"),
        )
        self._closes = exchange.closes
        changed = exchange.ask.hides_usage or route.endpoint.reply not in PASSED_ON
        if changed and head.status == _OK and exchange.head.method != b"HEAD":
            self._transform = self._gateway.transform_for(exchange, head)
        self._pending = answer_head(head, exchange.request_id.encode(), self._framing(head), close=self._closes)

    def _framing(self, head: AnswerHead) -> bytes:
        exchange = self._exchange
        if exchange.head.method == b"HEAD" or head.status in _BODYLESS:
            length = head.known.get(b"content-length")
            if length is None or exchange.route.endpoint.reply not in PASSED_ON:
                return b""
            return b"content-length: %b\r\n" % length
        if exchange.head.minor == 0 and (head.length == CHUNKED or self._transform is not None):
            self._unframed = self._closes = True
            return b""
        if head.length == CHUNKED or self._transform is not None:
            self._rechunks = self._transform is not None
            return b"transfer-encoding: chunked\r\n"
        if head.length is None:
            self._closes = True
            return b""
        return b"content-length: %d\r\n" % head.length

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        self._unread += pieces
        self._unread_bytes += len(raw)
        if self._unread_bytes > _METERED_AT_ONCE:
            self._read_up()
        if self._transform is not None or self._unframed:
            try:
                raw = self._reframed(pieces, last=last)
            except TransformError as problem:
                self._unreadable(str(problem))
                return
        if self._pending and (last or raw or self._transform is None or not self._transform.holds_head):
            raw, self._pending = self._pending + raw, b""
            self._passes = self._transform is None and not self._unframed
        self.received += len(raw)
        if not last:
            self._forwarder.touched = monotonic()
            if raw:
                self._write(raw)
            return
        self._forwarder.done()
        self._record(Outcome.PROVIDER_ERROR if self.status >= _FIRST_ERROR else Outcome.OK)
        if raw:
            self._write(raw)
        self._exchange.over(keep=not self._closes)

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        if not self._passes:
            self.answer_data(raw, (piece,), last=False)
            return
        self._unread.append(piece)
        self._unread_bytes += len(raw)
        if self._unread_bytes > _METERED_AT_ONCE:
            self._read_up()
        self.received += len(raw)
        self._write(raw)

    def watch(self, pieces: Sequence[bytes]) -> None:
        """Look for usage in bytes of the body that go no further."""
        self._unread += pieces
        self._read_up()

    def _read_up(self) -> None:
        """Show the meter what it has not seen: many small pieces at once cost it less than each by itself."""
        if self._meter is not None:
            unread = self._unread
            self._meter.feed(unread[0] if len(unread) == 1 else b"".join(unread))
        self._unread = []
        self._unread_bytes = 0

    def _reframed(self, pieces: Sequence[bytes], *, last: bool) -> bytes:
        transform = self._transform
        data = b"".join(pieces)
        if transform is not None:
            data = transform.feed(data, last=last)
        if not self._rechunks:
            return data
        return chunk(data) + (LAST_CHUNK if last else b"")

    def _unreadable(self, reason: str) -> None:
        """Answer in place of a list that can't be read."""
        self._forwarder.drop()
        self._forwarder.done()
        refusal = Refusal(status=502, code="unreadable_answer", message=f"Room Proxy: {reason}.")
        self._exchange.refuse(refusal, Outcome.PROVIDER_ERROR)

    def answer_broken(self, reason: str) -> None:
        if self._head is None:
            self._forwarder.no_answer(reason)
            return
        self._break_off(502, f"Room Proxy: the provider's answer broke off ({reason}).", "provider_closed")

    def timed_out(self, seconds: float) -> None:
        """End an answer that the provider has stopped sending."""
        self._break_off(504, f"Room Proxy: the provider sent nothing for {seconds:.0f} seconds.", "provider_stalled")

    def _break_off(self, status: int, message: str, code: str) -> None:
        """Tell a stream's reader in the provider's form, and end the connection: nobody shall take this for whole."""
        exchange = self._exchange
        ending = b""
        if self._takes_event():
            refusal = Refusal(status=status, code=code, message=message, retry=True)
            ending = chunk(b"\n\n" + error_event(refusal, exchange.route.protocol, exchange.route.endpoint.path))
        self._forwarder.drop()
        self._forwarder.done()
        if self._pending and not ending:  # nothing went out yet: there is room for a whole answer
            refusal = Refusal(status=status, code=code, message=message, retry=True)
            exchange.refuse(refusal, Outcome.PROVIDER_CLOSED)
            return
        self._record(Outcome.PROVIDER_CLOSED, code)
        if ending:
            exchange.client.send(self._pending + ending)
            exchange.over(keep=False)
        else:
            exchange.abort(reset=self._unframed or (self._head is not None and self._head.length is None))

    def _takes_event(self) -> bool:
        """Whether an event of ours can be put in: between chunks, and not into compressed bytes."""
        head = self._head
        if head is None or not self.streamed or self._unframed or b"content-encoding" in head.known:
            return False
        return self._rechunks or self._forwarder.between_chunks

    def client_gone(self) -> None:
        """Record what went through: nobody wants the rest."""
        self._record(Outcome.CLIENT_CLOSED, "client_closed")

    def _record(self, outcome: Outcome, error: str = "") -> None:
        if self._unread:
            self._read_up()
        meter, self._meter = self._meter, None
        reading = meter.finish() if meter is not None else None
        if reading is not None and reading.error and outcome is Outcome.OK:
            outcome = Outcome.PROVIDER_ERROR
        self._exchange.record(self.status, outcome, error, reading)

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Let the exchange become a tunnel, or refuse a switch of protocols that nobody asked for."""
        exchange = self._exchange
        agreed = exchange.websocket and b"sec-websocket-extensions" not in head.known
        connection = self._forwarder.take_connection() if agreed else None
        if connection is not None:
            exchange.upgraded(connection, head, rest)
            return
        self._forwarder.drop()
        self._forwarder.no_answer("it switched protocols unasked")

    def tunnel_data(self, data: bytes) -> None:
        """Take nothing: this is no tunnel."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Need nothing: the whole request is in memory already."""
