"""The provider's side of a websocket, on a blocking socket, with the protocol of the websockets library."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from e2e.wire import Event


def serve_websocket(
    connection: socket.socket,
    head: bytes,
    messages: list[bytes],
    answer: Callable[[dict[str, Any]], Iterator[Event]],
) -> None:
    """Accept the upgrade in `head` and answer each text message with events, until the other side closes."""
    protocol = ServerProtocol(max_size=None)
    protocol.receive_data(head)
    with suppress(OSError):
        while True:
            for event in protocol.events_received():
                _on_event(protocol, connection, event, messages, answer)
            _flush(protocol, connection)
            data = connection.recv(65536)
            if not data:
                return
            protocol.receive_data(data)


def _on_event(
    protocol: ServerProtocol,
    connection: socket.socket,
    event: object,
    messages: list[bytes],
    answer: Callable[[dict[str, Any]], Iterator[Event]],
) -> None:
    if isinstance(event, Request):
        protocol.send_response(protocol.accept(event))
    elif isinstance(event, Frame) and event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
        partial = bytes(event.data)
        messages.append(partial) if event.opcode is not Opcode.CONT else messages.append(messages.pop() + partial)
        if event.fin:
            for reply in answer(json.loads(messages[-1])):
                protocol.send_text(json.dumps(reply).encode())
                _flush(protocol, connection)


def _flush(protocol: ServerProtocol, connection: socket.socket) -> None:
    for data in protocol.data_to_send():
        if data:
            connection.sendall(data)
        else:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
