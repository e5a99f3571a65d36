"""Websocket frames (RFC 6455, section 5): read from any pieces of a stream, and written for our own messages."""

import enum
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy_cli.proxy.http1.pieces import Piece, append

_SHORT = 125
_MEDIUM = 126
_MEDIUM_MAX = 0xFFFF
_FIN = 0x80
_MASKED = 0x80
_RESERVED = 0x70
_FIRST_CONTROL = 0x8
_LARGE = 256 * 1024
_FRAGMENT_BYTES = 128  # that a fragment counts besides its payload: each takes as long as so many bytes


class Opcode(enum.IntEnum):
    """Kinds of frames."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


_KNOWN = frozenset(Opcode)


class FrameError(Exception):
    """Bytes that are no websocket frame; the text says why."""


class MessageTooLargeError(FrameError):
    """A message beyond the limit."""

    def __init__(self) -> None:
        super().__init__("a message is too large")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, in pieces: `raw` as it came, `payload` without its mask."""

    opcode: Opcode
    final: bool
    raw: Sequence[bytes]
    payload: Sequence[bytes]

    @property
    def control(self) -> bool:
        """Whether it may stand between the frames of a message."""
        return self.opcode >= _FIRST_CONTROL


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, or one control frame: `raw` is all of its frames as they came.

    What is large is left in pieces: joining them takes time.
    """

    opcode: Opcode
    raw_pieces: Sequence[Piece]
    payload_pieces: Sequence[Piece]

    @property
    def raw(self) -> bytes:
        """Return the frames in one piece."""
        return _joined(self.raw_pieces)

    @property
    def payload(self) -> bytes:
        """Return what it says in one piece."""
        return _joined(self.payload_pieces)

    @property
    def size(self) -> int:
        """Size of the payload."""
        return sum(map(len, self.payload_pieces))


def _joined(pieces: Sequence[Piece]) -> bytes:
    return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)


class FrameReader:
    """Cuts a stream into frames. `masked`: whether the sender has to mask (a client does, a server must not)."""

    def __init__(self, *, masked: bool, limit: int) -> None:
        self._masked = masked
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0
        self._wanted = 2  # bytes without which nothing new can be said
        self._large: _LargeFrame | None = None  # whose payload is taken as it comes

    @property
    def held(self) -> int:
        """Size of the part of a frame that has come."""
        return self._held if self._large is None else self._large.came

    @property
    def wanted(self) -> int:
        """Bytes that are still to come of the frame that has begun."""
        return self._wanted - self._held if self._large is None else self._large.left

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now. Raises `FrameError`."""
        frames: list[Frame] = []
        if self._large is not None:
            rest = self._large.add(data)
            if self._large.left:
                return []
            frames.append(self._large.frame())
            self._large = None
            data = rest
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return frames
        buffer = b"".join(self._pieces)
        start = 0
        while True:
            header = self._header(buffer, start)
            if header is None:
                break
            end = start + header.size + header.length
            if len(buffer) < end and header.length > _LARGE:
                self._large = _LargeFrame(header, buffer[start : start + header.size], masked=self._masked)
                self._large.add(buffer[start + header.size :])
                start = len(buffer)
                self._wanted = 2
                break
            if len(buffer) < end:
                self._wanted = end - start
                break
            frames.append(self._frame(buffer, start, header))
            start = end
            self._wanted = 2
        rest = buffer[start:]
        self._pieces, self._held = [rest], len(rest)
        return frames

    def _header(self, buffer: bytes, start: int) -> "_Header | None":
        left = len(buffer) - start
        if left < 2:  # noqa: PLR2004 (the smallest header)
            self._wanted = 2
            return None
        first, second = buffer[start], buffer[start + 1]
        if first & _RESERVED:
            raise FrameError("a frame uses an extension that was not agreed on")
        if bool(second & _MASKED) is not self._masked:
            raise FrameError("a frame is masked where it must not be, or the other way round")
        length = second & 0x7F
        extra = 0 if length <= _SHORT else 2 if length == _MEDIUM else 8
        size = 2 + extra + (4 if self._masked else 0)
        if left < size:
            self._wanted = size
            return None
        if extra:
            length = int.from_bytes(buffer[start + 2 : start + 2 + extra], "big")
        if length > self._limit:
            raise MessageTooLargeError
        opcode = first & 0x0F
        if opcode not in _KNOWN:
            raise FrameError("a frame is of an unknown kind")
        if opcode >= _FIRST_CONTROL and (length > _SHORT or not first & _FIN):
            raise FrameError("a control frame is too long or fragmented")
        return _Header(Opcode(opcode), bool(first & _FIN), size, length)

    def _frame(self, buffer: bytes, start: int, header: "_Header") -> Frame:
        begin = start + header.size
        end = begin + header.length
        payload = buffer[begin:end]
        if self._masked and payload:
            payload = _unmask(payload, buffer[begin - 4 : begin])
        return Frame(header.opcode, header.final, (buffer[start:end],), (payload,))


@dataclass(frozen=True, slots=True)
class _Header:
    opcode: Opcode
    final: bool
    size: int
    length: int


class _LargeFrame:
    """A frame whose payload is unmasked piece by piece, so that no step takes long."""

    def __init__(self, header: _Header, raw: bytes, *, masked: bool) -> None:
        self._header = header
        self._mask = raw[-4:] if masked else b""
        self._raw = [raw]
        self._payload: list[bytes] = []
        self.left = header.length
        self.came = len(raw)

    def add(self, data: bytes) -> bytes:
        """Take what belongs to the frame; return the rest."""
        taken, rest = data[: self.left], data[self.left :]
        if taken:
            turn = (self._header.length - self.left) % 4
            self._raw.append(taken)
            self._payload.append(_unmask(taken, self._mask[turn:] + self._mask[:turn]) if self._mask else taken)
            self.left -= len(taken)
            self.came += len(taken)
        return rest

    def frame(self) -> Frame:
        """Return the whole frame."""
        return Frame(self._header.opcode, self._header.final, self._raw, self._payload)


class MessageReader:
    """Puts frames together to messages."""

    def __init__(self, *, masked: bool, limit: int) -> None:
        self._frames = FrameReader(masked=masked, limit=limit)
        self._limit = limit
        self._opcode: Opcode | None = None
        self._raw: list[Piece] = []
        self._payload: list[Piece] = []
        self._size = 0

    @property
    def held(self) -> int:
        """Size of the part of a frame that has come."""
        return self._frames.held

    @property
    def wanted(self) -> int:
        """Bytes that are still to come of the frame that has begun."""
        return self._frames.wanted

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun whose last frame has not come whole."""
        return self._opcode is not None

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages and control frames that are whole now. Raises `FrameError`."""
        messages = []
        for frame in self._frames.feed(data):
            if frame.control:
                messages.append(Message(frame.opcode, frame.raw, frame.payload))
            elif (whole := self._add(frame)) is not None:
                messages.append(whole)
        return messages

    def _add(self, frame: Frame) -> Message | None:
        if (frame.opcode is Opcode.CONTINUATION) is (self._opcode is None):
            raise FrameError("the fragments of a message are out of order")
        if self._opcode is None:
            self._opcode = frame.opcode
        for piece in frame.raw:
            append(self._raw, piece)
        for piece in frame.payload:
            append(self._payload, piece)
        self._size += sum(map(len, frame.payload)) + _FRAGMENT_BYTES * (not frame.final)
        if self._size > self._limit:
            raise MessageTooLargeError
        if not frame.final:
            return None
        whole = Message(self._opcode, self._raw, self._payload)
        self._opcode, self._raw, self._payload, self._size = None, [], [], 0
        return whole


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def text_frame(payload: bytes) -> bytes:
    """Return a text message as a server sends it."""
    return _head(Opcode.TEXT, len(payload)) + payload


def client_frame(opcode: Opcode, payload: bytes) -> bytes:
    """Return a message as a client sends it: masked."""
    mask = os.urandom(4)
    return _head(opcode, len(payload), mark=_MASKED) + mask + _unmask(payload, mask)


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame as a server sends it."""
    text = reason.encode()[: _SHORT - 2].decode(errors="ignore").encode()
    return _head(Opcode.CLOSE, len(text) + 2) + struct.pack("!H", code) + text


def _head(opcode: Opcode, size: int, *, mark: int = 0) -> bytes:
    if size <= _SHORT:
        return struct.pack("!BB", _FIN | opcode, mark | size)
    if size <= _MEDIUM_MAX:
        return struct.pack("!BBH", _FIN | opcode, mark | _MEDIUM, size)
    return struct.pack("!BBQ", _FIN | opcode, mark | (_MEDIUM + 1), size)
