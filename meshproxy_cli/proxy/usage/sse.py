"""Server-sent events, watched as they go by: bytes first, JSON only for the few events that carry usage."""

from meshproxy_cli.proxy.usage.dialect import Dialect
from meshproxy_cli.proxy.usage.held import Held
from meshproxy_cli.proxy.usage.reading import Reading

_BLANK_LINES = (b"\n\n", b"\n\r\n")


class StreamMeter:
    """Meters a body of type `text/event-stream`. How the bytes are split makes no difference."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._held = Held()
        self._text_bytes = 0
        self._first = True

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        if not self._held and data.endswith(b"\n\n"):
            self._scan(data)
            return
        searched = max(0, len(self._held) - 3)
        self._held.add(data)
        buffer = self._held.buffer
        end = max(buffer.rfind(blank, min(searched, len(buffer))) + len(blank) for blank in _BLANK_LINES)
        if end > len(_BLANK_LINES[-1]) - 1:
            self._scan_held(end)

    def finish(self) -> Reading:
        """Say what is known, now that the body is over or broken off."""
        if self._held:
            self._scan_held(len(self._held))
        return self._dialect.reading(self._text_bytes)

    def _scan_held(self, end: int) -> None:
        clipped = self._held.clipped
        block = self._held.take(end)
        if clipped:
            self._dialect.read_clipped(block)
        else:
            self._scan(block)

    def _scan(self, block: bytes) -> None:
        if self._first or any(marker in block for marker in self._dialect.markers):
            self._read(block)
        for text in self._dialect.text.findall(block):
            self._text_bytes += len(text)

    def _read(self, block: bytes) -> None:
        markers = self._dialect.markers
        for event in block.replace(b"\r\n", b"\n").split(b"\n\n"):
            if self._first or any(marker in event for marker in markers):
                data = _data_of(event)
                if data:
                    self._first = False
                    self._dialect.read_event(data)


def _data_of(event: bytes) -> bytes:
    """Return an event's data lines, joined; comments and other fields left out."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
