"""What a client's connection hands its requests to: an exchange with a provider, a tunnel, or the web application."""

from typing import Protocol


class Handler(Protocol):
    """What deals with one request, from its head to the end of its answer."""

    @property
    def wants_more(self) -> bool:
        """Whether the client, who asks first (`Expect: 100-continue`), shall send the body."""

    def begin(self) -> bool:
        """Start; False where it has answered already and the connection must end."""

    def body_piece(self, data: bytes) -> bool:
        """Take part of the body; False where it has answered already and the connection must end."""

    def body_complete(self, trailers: list[bytes]) -> None:
        """Go on: the request is there."""

    def client_congested(self, *, congested: bool) -> None:
        """Bytes to the client pile up, or flow again."""

    def client_gone(self) -> None:
        """End whatever runs: nobody listens any more."""

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client after `ClientConnection.switch`."""
