"""Websocket frames (RFC 6455, section 5): read from any pieces of a stream, and written for our own messages."""

import enum
import os
import struct
from dataclasses import dataclass

_SHORT = 125
_MEDIUM = 126
_MEDIUM_MAX = 0xFFFF
_FIN = 0x80
_MASKED = 0x80
_RESERVED = 0x70
_FIRST_CONTROL = 0x8
_FRAGMENT_BYTES = 128  # that a fragment takes in memory besides its payload


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
    """A frame: `raw` as it came, `payload` without its mask."""

    opcode: Opcode
    final: bool
    raw: bytes
    payload: bytes

    @property
    def control(self) -> bool:
        """Whether it may stand between the frames of a message."""
        return self.opcode >= _FIRST_CONTROL


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message, or one control frame: `raw` is all of its frames as they came."""

    opcode: Opcode
    raw: bytes
    payload: bytes


class FrameReader:
    """Cuts a stream into frames. `masked`: whether the sender has to mask (a client does, a server must not)."""

    def __init__(self, *, masked: bool, limit: int) -> None:
        self._masked = masked
        self._limit = limit
        self._pieces: list[bytes] = []
        self._held = 0
        self._wanted = 2  # bytes without which nothing new can be said

    @property
    def held(self) -> int:
        """Size of the part of a frame that has come."""
        return self._held

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are whole now. Raises `FrameError`."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held < self._wanted:
            return []
        buffer = b"".join(self._pieces)
        frames: list[Frame] = []
        start = 0
        while True:
            header = self._header(buffer, start)
            if header is None:
                break
            end = start + header.size + header.length
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
        return Frame(header.opcode, header.final, buffer[start:end], payload)


@dataclass(frozen=True, slots=True)
class _Header:
    opcode: Opcode
    final: bool
    size: int
    length: int


class MessageReader:
    """Puts frames together to messages."""

    def __init__(self, *, masked: bool, limit: int) -> None:
        self._frames = FrameReader(masked=masked, limit=limit)
        self._limit = limit
        self._opcode: Opcode | None = None
        self._raw: list[bytes] = []
        self._payload: list[bytes] = []
        self._size = 0

    @property
    def held(self) -> int:
        """Size of the part of a frame that has come."""
        return self._frames.held

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
        self._raw.append(frame.raw)
        self._payload.append(frame.payload)
        self._size += len(frame.payload) + _FRAGMENT_BYTES * (not frame.final)
        if self._size > self._limit:
            raise MessageTooLargeError
        if not frame.final:
            return None
        whole = Message(self._opcode, b"".join(self._raw), b"".join(self._payload))
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
