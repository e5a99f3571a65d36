"""What a client's connection hands its requests to: an exchange with a provider, a tunnel, or the web application."""

from typing import Protocol

from meshproxy_cli.proxy.core.errors import Reader


class Handler(Protocol):
    """What deals with one request, from its head to the end of its answer."""

    request_id: str

    @property
    def reader(self) -> Reader:
        """Who reads an error of ours."""

    @property
    def answered(self) -> bool:
        """Whether part of an answer is out, so that no other answer can be given."""

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

    def break_off(self) -> None:
        """End whatever runs: a step raised what nobody foresaw. The client is the caller's business."""

    def from_client(self, data: bytes) -> None:
        """Take bytes of the client after `ClientConnection.switch`."""
