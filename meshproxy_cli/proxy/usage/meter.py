"""Meters: given an answer's bytes exactly as they pass, in any split, they say at the end what was used.

A meter never raises and keeps a bounded number of bytes. It is told apart by endpoint, status and content type which
kind an answer needs.
"""

from typing import Protocol

from meshproxy_cli.proxy.usage.anthropic import AnthropicDialect
from meshproxy_cli.proxy.usage.decode import DecodingMeter
from meshproxy_cli.proxy.usage.dialect import Dialect, error_code, parse
from meshproxy_cli.proxy.usage.held import Held
from meshproxy_cli.proxy.usage.openai import ChatDialect, OpenAIDialect
from meshproxy_cli.proxy.usage.reading import Reading
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


class Meter(Protocol):
    """Watches one answer."""

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body, transfer coding removed, content coding still on."""

    def finish(self) -> Reading:
        """Return what is known, once, when the body is over or was broken off."""


def meter_for(*, protocol: str, endpoint: str, status: int, content_type: bytes, content_encoding: bytes) -> Meter:
    """Return the meter for an answer.

    `protocol` is "openai" or "anthropic"; `endpoint` the provider's path without its query ("/v1/messages");
    `content_type` and `content_encoding` are the answer's header values, empty where it has none.
    """
    meter = _plain_meter(protocol, endpoint, status, content_type)
    return DecodingMeter(meter, content_encoding) if content_encoding.strip() else meter


def _plain_meter(protocol: str, endpoint: str, status: int, content_type: bytes) -> Meter:
    if status >= _FIRST_ERROR:
        return ErrorMeter(status)
    if endpoint.startswith(_FREE):
        return FreeMeter()
    dialect: Dialect
    if protocol == "anthropic":
        dialect = AnthropicDialect()
    elif endpoint == "/v1/chat/completions":
        dialect = ChatDialect()
    else:
        dialect = OpenAIDialect()
    if b"event-stream" in content_type.lower():
        return StreamMeter(dialect)
    return DocumentMeter(dialect)


class DocumentMeter:
    """Meters an answer that is one JSON document."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._held = Held()

    def feed(self, data: bytes) -> None:
        self._held.add(data)

    def finish(self) -> Reading:
        clipped = self._held.clipped
        body = self._held.take(len(self._held))
        if clipped:
            self._dialect.read_clipped(body)
        else:
            self._dialect.read_body(body)
        reading = self._dialect.reading(0)
        return reading if reading.complete or reading.error else Reading(metered=False, model=reading.model)


class ErrorMeter:
    """Reads the code out of an error answer; such an answer uses nothing."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._held = Held(_ERROR_LIMIT)

    def feed(self, data: bytes) -> None:
        self._held.add(data)

    def finish(self) -> Reading:
        code = error_code(parse(bytes(self._held.buffer)))
        return Reading(tokens=TokenCounts(), complete=True, error=code or f"http_{self._status}")


class FreeMeter:
    """Stands by for endpoints that cost nothing."""

    def feed(self, data: bytes) -> None:
        """Pass over it."""

    def finish(self) -> Reading:
        return Reading(tokens=TokenCounts(), complete=True)
