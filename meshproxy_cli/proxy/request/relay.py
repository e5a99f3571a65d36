"""An answer on its way back: framing kept, usage watched. The last bytes go to the lifecycle, which records first."""

from collections.abc import Callable, Sequence
from time import monotonic, perf_counter
from typing import Protocol

from meshproxy_cli.proxy.core.errors import ProxyError, error_event
from meshproxy_cli.proxy.core.handler import Client
from meshproxy_cli.proxy.core.routes import PASSED_ON
from meshproxy_cli.proxy.http1.chunked import LAST_CHUNK, chunk
from meshproxy_cli.proxy.http1.head import CHUNKED, AnswerHead
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest
from meshproxy_cli.proxy.request.prepared import Prepared
from meshproxy_cli.proxy.request.transforms import Transform, TransformError
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection
from meshproxy_cli.proxy.upstream.forwarded_headers import answer_head
from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.reading import Meter, Reading
from meshproxy_cli.store.events import Outcome

_OK = 200
_METERED_AT_ONCE = 4096
_FIRST_ERROR = 400
_BODYLESS = frozenset({204, 304})


class RelayedRequest(Protocol):
    """The request whose answer is relayed, and what becomes of it."""

    prepared: Prepared
    authorized: AuthorizedRequest
    request_id: str
    closes: bool

    @property
    def client(self) -> Client: ...

    def relayed(self, outcome: Outcome, error: str, ending: bytes, *, keep: bool) -> None:
        """Record, send the answer's last bytes, and part from the client."""

    def broken_off(self, error: str, *, reset: bool) -> None:
        """Record, and part from the client so that it sees that the answer is not whole."""

    def refuse(self, refusal: ProxyError, outcome: Outcome) -> None:
        """Record, and answer in the provider's place: nothing went out yet."""

    def failed(self, problem: Exception) -> None:
        """End: a step raised what nobody foresaw."""


class Relay:
    """Passes one answer of a provider to the client, as a `Sink`."""

    __slots__ = (
        "_closes", "_connection", "_head", "_meter", "_passes", "_paused", "_pending", "_rechunks", "_request", "_seen",
        "_touched", "_transform", "_unframed", "_unread", "_unread_bytes", "_write", "first_byte_at", "received",
        "status", "streamed",
    )  # fmt: skip

    def __init__(
        self,
        request: RelayedRequest,
        connection: UpstreamConnection,
        head: AnswerHead,
        transform_for: Callable[[AnswerHead], Transform | None],
    ) -> None:
        self._request = request
        self._connection: UpstreamConnection | None = connection
        self._head = head
        self._unread: list[bytes] = []  # pieces of the body that the meter has not seen yet
        self._unread_bytes = 0
        self._write = request.client.transport.write
        self._passes = False  # whether the head is out, and the body goes as it comes
        self._rechunks = False
        self._unframed = False
        self._paused = False
        self._touched = monotonic()  # when `sweep` last saw that bytes had come
        self._seen = 0  # how many there were then
        self.received = 0
        self.first_byte_at = perf_counter()
        self.status = head.status
        route, content_type = request.prepared.route, head.value(b"content-type")
        self.streamed = b"event-stream" in content_type
        self._meter: Meter | None = meter_for(
            protocol=route.protocol,
            endpoint=route.endpoint.path,
            status=head.status,
            content_type=content_type,
            content_encoding=head.value(b"content-encoding"),
        )
        self._closes = request.closes
        changed = request.authorized.hides_usage or route.endpoint.reply not in PASSED_ON
        self._transform: Transform | None = None
        if changed and head.status == _OK and request.prepared.head.method != b"HEAD":
            self._transform = transform_for(head)
        # The head that goes out, until the first bytes of the body are there.
        self._pending = answer_head(head, request.request_id.encode(), self._framing(head), close=self._closes)

    @property
    def provider_request_id(self) -> str:
        """The id that the provider gave its answer, "" where it gave none."""
        known = self._head.known
        given = known.get(b"x-request-id") or known.get(b"request-id")
        return given.decode("latin-1") if given else ""

    @property
    def begun(self) -> bool:
        """Whether part of the answer is out."""
        return not self._pending

    def failed(self, problem: Exception) -> None:
        self._request.failed(problem)

    @property
    def head_size(self) -> int:
        """Size of the head that goes out, in bytes, while nothing went out yet."""
        return len(self._pending)

    def _framing(self, head: AnswerHead) -> bytes:
        prepared = self._request.prepared
        if prepared.head.method == b"HEAD" or head.status in _BODYLESS:
            length = head.known.get(b"content-length")
            if length is None or head.status in _BODYLESS or prepared.route.endpoint.reply not in PASSED_ON:
                return b""
            return b"content-length: %b\r\n" % length
        if prepared.head.minor == 0 and (head.length == CHUNKED or self._transform is not None):
            self._unframed = self._closes = True
            return b""
        if head.length == CHUNKED or self._transform is not None:
            self._rechunks = self._transform is not None
            return b"transfer-encoding: chunked\r\n"
        if head.length is None:
            self._closes = True
            return b""
        return b"content-length: %d\r\n" % head.length

    def answer_started(self, head: AnswerHead) -> None:
        """Never called: the head came before."""

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        self._unread += pieces
        self._unread_bytes += len(raw)
        if self._unread_bytes > _METERED_AT_ONCE:
            self._read_up()
        if self._transform is not None or self._unframed:
            try:
                raw = self._reframed(pieces, last=last)
            except TransformError as problem:
                self._refuse(502, "unreadable_answer", f"Room Proxy: {problem}.", Outcome.PROVIDER_ERROR)
                return
        if self._pending and (last or raw or self._transform is None or not self._transform.holds_head):
            raw, self._pending = self._pending + raw, b""
            self._passes = self._transform is None and not self._unframed
        self.received += len(raw)
        if not last:
            if raw:
                self._write(raw)
            return
        self._connection = None  # it may serve somebody else already
        outcome = Outcome.PROVIDER_ERROR if self.status >= _FIRST_ERROR else Outcome.OK
        self._request.relayed(outcome, "", raw, keep=not self._closes)

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

    @property
    def sent_last_event(self) -> bool:
        """Whether a stream's last event went out, to a client that kept up: it missed nothing if it closes then."""
        if self._unread:
            self._read_up()
        return self._meter is not None and self._meter.ended and not self._paused

    def watch(self, pieces: Sequence[bytes]) -> None:
        """Look for usage in bytes of the body that go no further."""
        self._unread += pieces
        self._read_up()

    def usage(self) -> Reading | None:
        """Return the usage that was found, once, when the body is over or was broken off."""
        if self._unread:
            self._read_up()
        meter, self._meter = self._meter, None
        return meter.finish() if meter is not None else None

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

    # How it ends early

    def answer_broken(self, reason: str) -> None:
        self._break_off(502, f"Room Proxy: the provider's answer broke off ({reason}).", "provider_closed")

    def _break_off(self, status: int, message: str, code: str) -> None:
        """Tell a stream's reader in the provider's form, and end the connection: it must not pass for whole."""
        route = self._request.prepared.route
        ending = b""
        if self._takes_event():
            refusal = ProxyError(status=status, code=code, message=message, retry=True)
            ending = chunk(b"\n\n" + error_event(refusal, route.protocol, route.endpoint.path))
        if self._pending and not ending:  # nothing went out yet: there is room for a whole answer
            self._refuse(status, code, message, Outcome.PROVIDER_CLOSED, retry=True)
            return
        self.drop()
        if ending:
            self._request.relayed(Outcome.PROVIDER_CLOSED, code, self._pending + ending, keep=False)
        else:
            self._request.broken_off(code, reset=self._unframed or self._head.length is None)

    def _refuse(self, status: int, code: str, message: str, outcome: Outcome, *, retry: bool = False) -> None:
        self.drop()
        self._request.refuse(ProxyError(status=status, code=code, message=message, retry=retry), outcome)

    def _takes_event(self) -> bool:
        """Whether an event of ours can be put in: between chunks, and not into compressed bytes."""
        if not self.streamed or self._unframed or b"content-encoding" in self._head.known:
            return False
        return self._rechunks or (self._connection is not None and self._connection.between_chunks)

    def take_connection(self) -> UpstreamConnection | None:
        """Hand the connection over to another sink; None if the answer is over."""
        connection, self._connection = self._connection, None
        return connection

    def drop(self) -> None:
        """End the provider's request."""
        connection = self.take_connection()
        if connection is not None:
            connection.drop()

    # Flow

    def pause(self, *, paused: bool) -> None:
        """Stop or resume reading from the provider, as the client keeps up."""
        self._paused = paused
        self._touched = monotonic()
        connection = self._connection
        if connection is not None and not connection.transport.is_closing():
            if paused:
                connection.transport.pause_reading()
            else:
                connection.transport.resume_reading()

    def sweep(self, now: float, limit_s: float) -> None:
        """End an answer whose provider, or whose client, has been silent for too long."""
        if self.received != self._seen:
            self._seen = self.received
            self._touched = now
        if now - self._touched <= limit_s or self._connection is None:
            return
        if self._paused:
            self._request.client.transport.abort()
        else:
            message = f"Room Proxy: the provider sent nothing for {limit_s:.0f} seconds."
            self._break_off(504, message, "provider_stalled")

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Never called: the answer has a head."""

    def tunnel_data(self, data: bytes) -> None:
        """Take nothing: this is no tunnel."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Need nothing: the whole request is in memory already."""
