"""The way to a websocket's client: the provider's bytes as they come, and messages of ours between two of its own."""

from typing import TYPE_CHECKING

from meshproxy_cli.proxy.websocket.frames import FrameError, Message, MessageReader

if TYPE_CHECKING:
    from meshproxy_cli.proxy.downstream.connection import ClientConnection


class Downstream:
    """Call `read` with what the provider sent, look at the messages, then `send` the same bytes."""

    def __init__(self, client: "ClientConnection", limit: int) -> None:
        self._client = client
        self._reader: MessageReader | None = MessageReader(masked=False, limit=limit)
        self._waiting = b""
        self._unsent = False  # whether bytes were read that the client has yet to get

    @property
    def readable(self) -> bool:
        """Whether the messages can still be told apart; what can't be read goes through all the same."""
        return self._reader is not None

    def read(self, data: bytes) -> list[Message]:
        """Return the messages that are whole now."""
        if self._reader is None:
            return []
        self._unsent = True
        try:
            return self._reader.feed(data)
        except FrameError:
            self._reader = None
            return []

    def send(self, data: bytes) -> None:
        """Pass on what was read, and what waits for the end of a message."""
        self._unsent = False
        if self._waiting and self._reader is not None and not self._reader.inside_message:
            whole = len(data) - self._reader.held
            if whole >= 0:
                data = data[:whole] + self._waiting + data[whole:]
                self._waiting = b""
        self._client.send(data)

    def insert(self, frame: bytes) -> None:
        """Send a message of ours now, or as soon as the provider's message that has begun is through."""
        reader = self._reader
        if reader is None:
            return  # nobody knows where it could stand
        if self._unsent or reader.held or reader.inside_message:
            self._waiting += frame
        else:
            self._client.send(frame)
