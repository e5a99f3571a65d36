"""Meters: given an answer's bytes exactly as they pass, in any split, they say at the end what was used.

A meter never raises and keeps a bounded number of bytes. It is told apart by endpoint, status and content type which
kind an answer needs.
"""

import functools
from collections.abc import Callable

from meshproxy_cli.proxy.usage.anthropic import AnthropicDialect
from meshproxy_cli.proxy.usage.batches import BatchMeter
from meshproxy_cli.proxy.usage.bounded_buffer import LIMIT, BoundedBuffer
from meshproxy_cli.proxy.usage.decode import DecodingMeter
from meshproxy_cli.proxy.usage.dialect import Dialect, error_code, parse
from meshproxy_cli.proxy.usage.openai import ChatDialect, ImageDialect, OpenAIDialect, SpeechDialect
from meshproxy_cli.proxy.usage.reading import Meter, Reading
from meshproxy_cli.proxy.usage.sse import StreamMeter
from meshproxy_cli.store.events import TokenCounts

_FIRST_ERROR = 400
_ERROR_LIMIT = 256 * 1024
_FREE = (
    "/v1/models",
    "/v1/realtime",
    "/v1/messages/count_tokens",
    "/v1/messages/batches",
    "/v1/responses/input_tokens",
)
_BATCH_RESULTS = ("/v1/messages/batches/", "/results")
_OPENAI_DIALECTS: dict[str, type[Dialect]] = {
    "/v1/chat/completions": ChatDialect,
    "/v1/images/": ImageDialect,
    "/v1/audio/speech": SpeechDialect,
}
_STREAM_STARTS = (b"event:", b"data:", b"id:", b"retry:", b":")


def meter_for(*, protocol: str, endpoint: str, status: int, content_type: bytes, content_encoding: bytes) -> Meter:
    """Return the meter for an answer.

    `protocol` is "openai" or "anthropic"; `endpoint` the provider's path without its query ("/v1/messages");
    `content_type` and `content_encoding` are the answer's header values, empty where it has none.
    """
    make = _maker(protocol, endpoint, status, content_type)
    return DecodingMeter(make(), content_encoding) if content_encoding else make()


@functools.lru_cache(maxsize=1024)
def _maker(protocol: str, endpoint: str, status: int, content_type: bytes) -> Callable[[], Meter]:
    if status >= _FIRST_ERROR:
        return functools.partial(ErrorMeter, status)
    if endpoint.startswith(_BATCH_RESULTS[0]) and endpoint.endswith(_BATCH_RESULTS[1]):
        return BatchMeter
    if endpoint.startswith(_FREE):
        return FreeMeter
    dialect = _dialect(protocol, endpoint)
    if b"event-stream" in content_type.lower():
        return lambda: StreamMeter(dialect())
    return lambda: DocumentMeter(dialect)


def _dialect(protocol: str, endpoint: str) -> type[Dialect]:
    if protocol == "anthropic":
        return AnthropicDialect
    for start, dialect in _OPENAI_DIALECTS.items():
        if endpoint.startswith(start):
            return dialect
    return OpenAIDialect


class DocumentMeter:
    """Meters an answer that is one JSON document (or, under a wrong content type, a stream after all)."""

    __slots__ = ("_dialect", "_first", "_held")
    ended = False

    def __init__(self, dialect: type[Dialect]) -> None:
        self._dialect = dialect
        self._first = b""
        self._held: BoundedBuffer | None = None

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        if self._held is None:
            if not self._first and len(data) <= LIMIT:
                self._first = data
                return
            self._held = BoundedBuffer()
            self._held.add(self._first)
        self._held.add(data)

    def finish(self) -> Reading:
        """Say what is known. Of a document that is not whole, nothing is."""
        held = self._held
        if held is not None and held.clipped:
            return self._read(held.take(len(held)), clipped=True)
        body = self._first if held is None else held.take(len(held))
        return self._dialect.parse_fast(body) or self._read(body, clipped=False)

    def _read(self, body: bytes, *, clipped: bool) -> Reading:
        dialect = self._dialect()
        if not body.startswith(b"{") and body.lstrip().startswith(_STREAM_STARTS):
            stream = StreamMeter(dialect)
            stream.feed(body)
            return stream.finish()
        if clipped:
            dialect.read_clipped(body)
        else:
            dialect.read_body(body)
        reading = dialect.reading(0)
        return reading if reading.complete or reading.error else Reading(metered=False, model=reading.model)


class ErrorMeter:
    """Reads the code out of an error answer; such an answer uses nothing."""

    ended = False

    def __init__(self, status: int) -> None:
        self._status = status
        self._held = BoundedBuffer(_ERROR_LIMIT)

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        self._held.add(data)

    def finish(self) -> Reading:
        """Return zero tokens and the error's code."""
        code = error_code(parse(bytes(self._held.buffer)))
        return Reading(tokens=TokenCounts(), complete=True, error=code or f"http_{self._status}")


class FreeMeter:
    """Stands by for endpoints that cost nothing."""

    ended = False

    def feed(self, data: bytes) -> None:
        """Pass over it."""

    def finish(self) -> Reading:
        """Return zero tokens."""
        return Reading(tokens=TokenCounts(), complete=True)
