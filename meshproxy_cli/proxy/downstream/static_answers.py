"""Answers of our own that need no provider: probes of a base URL, and refusals that no credential would change."""

from typing import Self

from meshproxy_cli.proxy.core.errors import ClientProfile, ProxyError, answer, profile_for_unknown_path, render
from meshproxy_cli.proxy.core.handler import Client, Handler
from meshproxy_cli.proxy.core.ids import new_request_id
from meshproxy_cli.proxy.core.routes import Protocol
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.gateway import Gateway

INTERNAL_ERROR = ProxyError(
    status=500,
    code="internal_error",
    message="Room Proxy: an unexpected error in the proxy. Its admin finds the request id in the server's log.",
)


class StaticAnswer:
    """A `Handler` that reads the request to its end and then answers 200 without a body, or refuses."""

    __slots__ = (
        "_client",
        "_close",
        "_gateway",
        "_head",
        "_protocol",
        "_reader",
        "_refusal",
        "_size",
        "answered",
        "request_id",
    )

    def __init__(self, gateway: Gateway, client: Client, head: RequestHead) -> None:
        self._gateway = gateway
        self._client = client
        self._head = head
        self._refusal: ProxyError | None = None
        self._protocol: Protocol = "openai"
        self._reader: ClientProfile | None = None
        self.request_id = new_request_id()
        self.answered = False
        self._close = not head.keeps_alive
        self._size = 0

    @classmethod
    def refusing(
        cls,
        gateway: Gateway,
        client: Client,
        head: RequestHead,
        refusal: ProxyError,
        *,
        protocol: Protocol = "openai",
        close: bool = False,
    ) -> Self:
        """Return one that refuses; `close` ends the connection, without reading a body."""
        made = cls(gateway, client, head)
        made._refusal = refusal
        made._protocol = protocol
        made._close = made._close or close
        return made

    @classmethod
    def in_place_of(cls, gateway: Gateway, client: Client, head: RequestHead, failed: Handler) -> Self:
        """Return one that answers 500 for a handler that raised."""
        made = cls(gateway, client, head)
        made._refusal = INTERNAL_ERROR
        made._reader = failed.reader
        made.request_id = failed.request_id
        return made

    @property
    def reader(self) -> ClientProfile:
        """Who reads an error of ours."""
        return self._reader or profile_for_unknown_path(self._head, self._protocol)

    @property
    def wants_more(self) -> bool:
        return False

    def begin(self) -> bool:
        if self._head.length and (self._close or b"expect" in self._head.by_name):
            self._close = True
            self._answer()
            return False
        return True

    def body_piece(self, data: bytes) -> bool:
        self._size += len(data)
        if self._size > self._gateway.limits.largest_body:
            self._close = True
            self._answer()
            return False
        return True

    def body_complete(self, trailers: list[bytes]) -> None:
        del trailers
        self._answer()

    def _answer(self) -> None:
        request_id = self.request_id
        self.answered = True
        if self._refusal is None:
            data = answer(200, b"", request_id, kind="text/plain", close=self._close)
        else:
            self._gateway.metrics.refused(self._refusal.code)
            data = render(self._refusal, self.reader, request_id, close=self._close)[1]
        self._client.send(data)
        self._client.finish(keep=not self._close)

    def client_congested(self, *, congested: bool) -> None:
        """Take no notice: the answer is small."""

    def break_off(self) -> None:
        """Take no notice: nothing runs."""

    def client_gone(self) -> None:
        """Take no notice: nothing runs."""

    def from_client(self, data: bytes) -> None:
        """Take nothing: this is no tunnel."""
