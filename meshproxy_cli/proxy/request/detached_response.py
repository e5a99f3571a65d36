"""Reading on after the client went away, so that the ledger gets the provider's own numbers (`on_disconnect`)."""

from collections.abc import Callable, Sequence

from meshproxy_cli.proxy.core.unexpected import report
from meshproxy_cli.proxy.http1.head import AnswerHead
from meshproxy_cli.proxy.request.gateway import Gateway
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection


class DetachedResponse:
    """Takes the rest of one answer, as a `Sink`, and throws it away but for its usage; bounded in time."""

    __slots__ = ("_connection", "_ended", "_gateway", "_until", "_watch")

    def __init__(
        self,
        gateway: Gateway,
        connection: UpstreamConnection,
        watch: Callable[[Sequence[bytes]], None],
        ended: Callable[[], None],
    ) -> None:
        """Take over an answer: `watch` looks for usage in its bytes, `ended` learns that there are no more."""
        self._gateway = gateway
        self._connection = connection
        self._watch = watch
        self._ended = ended
        self._until = gateway.loop.time() + gateway.config.drain.seconds

    def start(self) -> None:
        """Take over from the relay."""
        self._gateway.detached.add(self)
        self._connection.hand_over(self)
        self._connection.transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Give up when the time is over."""
        if now > self._until:
            self.give_up()

    def give_up(self) -> None:
        """End the provider's request; what is known by now is recorded."""
        self._connection.drop()
        self._finish()

    def answer_data(self, raw: bytes, pieces: Sequence[bytes], *, last: bool) -> None:
        del raw
        self._watch(pieces)
        if last:
            self._finish()

    def answer_piece(self, raw: bytes, piece: bytes) -> None:
        self.answer_data(raw, (piece,), last=False)

    def answer_broken(self, reason: str) -> None:
        del reason
        self._finish()

    def failed(self, problem: Exception) -> None:
        report(problem)
        self._gateway.detached.discard(self)

    def answer_started(self, head: AnswerHead) -> None:
        """Take nothing: the answer has started long ago."""

    def upgraded(self, head: AnswerHead, rest: bytes) -> None:
        """Take nothing: the same."""

    def tunnel_data(self, data: bytes) -> None:
        """Take nothing: this is no tunnel."""

    def upstream_congested(self, *, congested: bool) -> None:
        """Need nothing: the whole request is sent."""

    def _finish(self) -> None:
        self._gateway.detached.discard(self)
        self._ended()
