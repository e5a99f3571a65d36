"""Server-sent events, watched as they go by: bytes first, JSON only for the few events that carry usage.

Every event is looked at by itself, so that it makes no difference where the bytes were split.
"""

import re

from meshproxy_cli.proxy.usage.bounded_buffer import BoundedBuffer
from meshproxy_cli.proxy.usage.dialect import Dialect
from meshproxy_cli.proxy.usage.reading import Reading

_BLANK_LINES = (b"\n\n", b"\n\r\n")
_LONGEST_BLANK_LINE = 3
_FREE_EVENTS = 4096  # that may be of any size
_USUAL_EVENT = 32  # bytes that more events than these have at least, taken together
_MAX_LINES = 4096  # of one event
_NOTHING = re.compile(rb"(?::[^\n]*+\n|\r?+\n)++")  # comments and blank lines
_NEXT_BLANK_LINE = re.compile(rb"\n\r?\n")


class StreamMeter:
    """Meters a body of type `text/event-stream`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._plain = dialect.plain.match
        self._held = BoundedBuffer()
        self._text_bytes = 0
        self._first = True
        self._events_left: float = _FREE_EVENTS  # beyond plain ones; a stream of very many small ones is not metered

    @property
    def ended(self) -> bool:
        return self._dialect.ended

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        if not self._held.buffer and data.endswith(_BLANK_LINES):
            self._scan(data)
        elif data:
            self._feed_part(data)

    def finish(self) -> Reading:
        """Say what is known, now that the body is over or broken off."""
        if self._held:
            self._scan_held(len(self._held))
        reading = self._dialect.reading(self._text_bytes)
        return Reading(metered=False, model=reading.model) if self._events_left < 0 else reading

    def _feed_part(self, data: bytes) -> None:
        held = self._held
        seam = len(held)
        held.add(data)
        start = max(0, min(seam, len(held)) - _LONGEST_BLANK_LINE + 1)
        found = [at + len(blank) for blank in _BLANK_LINES if (at := held.buffer.rfind(blank, start)) >= 0]
        if found:
            self._scan_held(max(found))

    def _scan_held(self, end: int) -> None:
        clipped = self._held.clipped
        block = self._held.take(end)
        if clipped:
            self._dialect.read_clipped(block)
        else:
            self._scan(block)

    def _scan(self, block: bytes) -> None:
        at, end = 0, len(block)
        self._events_left += end / _USUAL_EVENT
        while at < end and self._events_left >= 0:
            match = None if self._first else self._plain(block, at)
            if match is None:
                at = self._read_event(block, at)
                continue
            first, last = match.span(match.lastindex or 0)
            self._text_bytes += last - first
            at = match.end()

    def _read_event(self, block: bytes, start: int) -> int:
        """Read the event that starts there; return where the next one does."""
        if nothing := _NOTHING.match(block, start):
            return nothing.end()
        self._events_left -= 1
        boundary = _NEXT_BLANK_LINE.search(block, start)
        end = boundary.end() if boundary else len(block)
        data = _data_of(block[start:end])
        if data:
            if self._first or self._dialect.markers.search(data):
                self._dialect.read_event(data)
            self._first = False
            self._text_bytes += sum(map(len, self._dialect.text.findall(data)))
        return end


def _data_of(event: bytes) -> bytes:
    """Return an event's data lines, joined; comments and other fields left out."""
    if event.count(b"\n") > _MAX_LINES:
        return b""
    lines = event.replace(b"\r\n", b"\n").split(b"\n")
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
