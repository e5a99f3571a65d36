"""Both ends of a websocket through a Room Proxy, on blocking sockets in the test's own thread, byte by byte."""

import json
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from websockets.frames import Close, Opcode
from websockets.frames import Frame as Wire
from websockets.utils import accept_key

PATIENCE_S = 30
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # belongs to the key (RFC 6455, section 1.3)
TEXT, BINARY, CONT, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a frame as a server sends it."""
    return Wire(opcode, payload, fin).serialize(mask=False)


def masked(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a frame as a client sends it."""
    return Wire(opcode, payload, fin).serialize(mask=True)


def goodbye(code: int, reason: str) -> bytes:
    return Close(code, reason).serialize()


def message(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def create(model: str = "gpt-5.4", **fields: Any) -> bytes:
    return message(type="response.create", model=model, **fields)


def created(ident: str = "resp_1") -> bytes:
    return message(type="response.created", response={"id": ident, "model": "gpt-5.4-served", "usage": None})


def completed(read: int, written: int, ident: str = "resp_1", kind: str = "response.completed") -> bytes:
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return message(type=kind, response={"id": ident, "model": "gpt-5.4-served", "usage": usage})


@dataclass(frozen=True)
class Read:
    """A frame as it was read, without its mask."""

    opcode: int
    fin: bool
    payload: bytes

    def json(self) -> Any:
        return json.loads(self.payload)

    @property
    def code(self) -> int:
        """Code of a close frame."""
        return int(struct.unpack("!H", self.payload[:2])[0])


class Peer:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        self.socket = connection
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = self.socket.recv(1 << 20)
            assert data, f"the connection ended after {self._buffer[:200]!r}"
            self._buffer += data
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def head(self) -> str:
        """Read up to the empty line."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.exactly(1)
        return head.decode()

    def rest(self) -> bytes:
        """Read until the other side ends."""
        with suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 20):
                self._buffer += data
        found, self._buffer = self._buffer, b""
        return found

    def frame(self) -> Read:
        first, second = self.exactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(self.exactly(2 if size == 126 else 8), "big")
        mask = self.exactly(4) if second & 0x80 else bytes(4)
        payload = self.exactly(size)
        key = (mask * (size // 4 + 1))[:size]
        plain = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
        return Read(first & 0x0F, bool(first & 0x80), plain)

    def has_ended(self) -> bool:
        return self.rest() == b""


@dataclass
class Provider:
    """Listens; each connection is taken by the test when it expects one."""

    listener: socket.socket

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def meet(self) -> tuple[str, Peer]:
        """Take the proxy's connection; return the head of its request, and the connection."""
        self.listener.settimeout(PATIENCE_S)
        peer = Peer(self.listener.accept()[0])
        return peer.head(), peer


def call(url: str, path: str, token: str, *fields: str, session: str | None = "tests") -> Peer:
    """Ask the Room Proxy for a websocket; the answer is still to be read."""
    place = urlsplit(url)
    peer = Peer(socket.create_connection((place.hostname or "", place.port or 0)))
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: proxy",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *([f"Authorization: Bearer {token}"] if token else []),
        *([f"Meshagent-Session: {session}"] if session is not None else []),
        *fields,
    ]
    peer.send("\r\n".join([*lines, "", ""]).encode())
    return peer


def switch(*fields: str, key: str = KEY) -> bytes:
    """Return the answer that accepts a request with that key."""
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def fields_of(head: str, name: str) -> list[str]:
    """Return the values of a header in a head."""
    lines = head.split("\r\n")[1:]
    return [line.partition(":")[2].strip() for line in lines if line.lower().startswith(f"{name.lower()}:")]
