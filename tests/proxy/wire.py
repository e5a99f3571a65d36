"""HTTP/1.1 on the wire, written and read by the tests themselves, so that no library hides or mends a byte."""

import asyncio
import re
from dataclasses import dataclass, field

_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?")
BULK = 256 * 1024


class CutError(Exception):
    """A stream that ended inside a message."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How one side reads or writes: so many bytes at a time, with a pause after each; all the rest at once."""

    steps: tuple[int, ...] = ()
    pause_s: float = 0.0


@dataclass(slots=True)
class Message:
    """A request or an answer as far as it came; `reset`: the connection was not closed but torn down."""

    start: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: list[bytes] = field(default_factory=list)
    whole: bool = False
    reset: bool = False

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of the headers of that lower-case name."""
        return [line.partition(b":")[2].strip(b" \t") for line in self.lines if name_of(line) == name]

    @property
    def status(self) -> int:
        return int(self.start[9:12]) if self.start else 0


def name_of(line: bytes) -> bytes:
    """Return the lower-case name of a header line."""
    return line.partition(b":")[0].lower()


class Tap:
    """Reads a connection at some pace, strictly."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._steps: list[int] = []
        self._pause_s = 0.0
        self._held = bytearray()
        self.reset = False

    def at(self, pace: Pace) -> None:
        """Read at that pace from now on."""
        self._steps, self._pause_s = list(pace.steps), pace.pause_s

    async def ended(self) -> bool:
        """Wait for the end or more; return whether it was the end."""
        try:
            if not self._held:
                await self._more()
        except CutError:
            return True
        return False

    async def _more(self) -> None:
        size = self._steps.pop(0) if self._steps else BULK
        try:
            data = await self._reader.read(size)
        except ConnectionError:
            self.reset = True
            data = b""
        if not data:
            raise CutError
        self._held += data
        if self._steps and self._pause_s:
            await asyncio.sleep(self._pause_s)

    async def head(self) -> tuple[bytes, list[bytes]]:
        """Return a start line and the header lines."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            await self._more()
        start, *lines = bytes(self._held[:end]).split(b"\r\n")
        del self._held[: end + 4]
        assert not re.search(rb"[\r\n\0]", start), start
        assert all(map(_LINE.fullmatch, lines)), lines
        return start, lines

    async def line(self) -> bytes:
        """Return a line of a chunked body."""
        while (end := self._held.find(b"\r\n")) < 0:
            await self._more()
        line = bytes(self._held[:end])
        del self._held[: end + 2]
        return line

    async def exactly(self, size: int, into: bytearray) -> None:
        """Append that many bytes, as they come."""
        while size:
            if not self._held:
                await self._more()
            piece = self._held[:size]
            del self._held[:size]
            into += piece
            size -= len(piece)

    async def rest(self, into: bytearray) -> None:
        """Append all that comes until the connection ends."""
        try:
            while True:
                into += self._held
                self._held.clear()
                await self._more()
        except CutError:
            if self.reset:
                raise

    async def chunks(self, message: Message) -> None:
        """Read a chunked body and its trailers."""
        while True:
            size = _SIZE.fullmatch(await self.line())
            assert size is not None
            length = int(size[1], 16)
            if length == 0:
                break
            await self.exactly(length, message.body)
            assert await self.line() == b""
        while line := await self.line():
            assert _LINE.fullmatch(line), line
            message.trailers.append(line)


async def read_body(tap: Tap, message: Message) -> None:
    """Read the body of a request; raises `CutError` where the connection ends before it does."""
    codings, lengths = message.values(b"transfer-encoding"), message.values(b"content-length")
    assert (codings, len(lengths)) in [([], 0), ([], 1), ([b"chunked"], 0)], message.lines
    if codings:
        await tap.chunks(message)
    elif lengths:
        await tap.exactly(int(lengths[0]), message.body)
    message.whole = True


async def read_answer(tap: Tap, message: Message, *, to_head: bool, more_interim: asyncio.Event) -> None:
    """Read one answer, as far as it comes. `more_interim` is set by each 1xx before it."""
    try:
        while message.status < 200:
            message.start, message.lines = await tap.head()
            if message.status < 200:
                assert message.start == b"HTTP/1.1 100 Continue"
                message.start = b""
                more_interim.set()
        codings, lengths = message.values(b"transfer-encoding"), message.values(b"content-length")
        assert (codings, len(lengths)) in [([], 0), ([], 1), ([b"chunked"], 0)], message.lines
        if to_head or message.status in {204, 304}:
            pass
        elif codings:
            await tap.chunks(message)
        elif lengths:
            await tap.exactly(int(lengths[0]), message.body)
        else:
            await tap.rest(message.body)
        message.whole = True
    except CutError:
        message.reset = tap.reset


class Pen:
    """Writes to a connection at some pace."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._steps: list[int] = []
        self._pause_s = 0.0

    def at(self, pace: Pace) -> None:
        """Write at that pace from now on."""
        self._steps, self._pause_s = list(pace.steps), pace.pause_s

    async def write(self, data: bytes) -> None:
        """Write it all; raises `ConnectionError` where nobody takes it."""
        place = 0
        while place < len(data):
            size = self._steps.pop(0) if self._steps else BULK
            self._writer.write(data[place : place + size])
            place += size
            await self._writer.drain()
            await asyncio.sleep(self._pause_s if self._steps else 0)
