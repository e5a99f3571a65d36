"""The protocols by which the parts of the request path know each other."""

import asyncio
from typing import Protocol

from meshproxy_cli.proxy.core.errors import ClientProfile


class Client(Protocol):
    """The client's connection, as those see it who answer a request."""

    transport: asyncio.Transport

    def send(self, data: bytes) -> None:
        """Write part of the answer."""

    def finish(self, *, keep: bool = True) -> None:
        """End the answer; read the next request if both sides keep the connection."""

    def close(self) -> None:
        """Close once what was written is sent."""

    def abort(self, *, reset: bool = False) -> None:
        """End the connection at once, so that the client sees that the answer is not whole."""

    def fail(self, handler: "Handler", problem: Exception) -> "Handler | None":
        """Answer 500 in place of a handler that raised; return what reads the rest of its request, if any."""


class Sweepable(Protocol):
    """What is looked at now and then, because no request has a timer of its own."""

    def sweep(self, now: float) -> None:
        """End what has been silent for too long; `now` is the loop's time."""


class Connection(Sweepable, Protocol):
    """A client's connection, as the server's shutdown sees it."""

    transport: asyncio.Transport

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""

    def close(self) -> None:
        """Close once what was written is sent."""


class OpenTunnel(Sweepable, Protocol):
    """A websocket, as the server's shutdown sees it."""

    def drain(self) -> None:
        """End it as soon as no turn is under way."""


class UnreadAnswer(Sweepable, Protocol):
    """An answer that is read on without a client."""

    def give_up(self) -> None:
        """End the provider's request; what is known by now is recorded."""


class Handler(Protocol):
    """What deals with one request, from its head to the end of its answer."""

    request_id: str

    @property
    def reader(self) -> ClientProfile:
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
        """Take bytes of the client after its connection became a tunnel."""
