"""What the data path asks before a request goes upstream, and tells once it is over.

    answer = limiter.admit(caller, protocol, endpoint, request_bytes, model)
    Admission   go on; hand it to `settle` with the request's event, whatever became of it, exactly once
    ProxyError     answer with it: a limit is used up
    Pending     this worker holds nothing of a limit yet, or no longer: a future that becomes one of the two within
                `DECISION_S`, usually in a millisecond (`asyncio.wrap_future`, or `add_done_callback`; it is completed
                in the limiter's own thread). A request that is given up meanwhile calls `abandon` with it.

Every endpoint that makes a provider work counts, websocket turns and compaction too, each turn on its own; the
data path leaves out what is free (`is_free`).
"""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import Limit

#: The longest that a `Pending` stays undecided; past it the request is let through.
DECISION_S = 1.0
_FREE = ("/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/models")


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """Leave to go on. `warnings` name the soft limits that are used up, for the log; `holds` is the limiter's own."""

    warnings: tuple[str, ...] = ()
    holds: tuple[Any, ...] = ()


Pending = Future[Admission | ProxyError]


class Limiter(Protocol):
    """Decides in memory, without waiting; called from the data path's thread only."""

    def admit(
        self, caller: Caller, protocol: str, endpoint: str, request_bytes: int, model: str
    ) -> Admission | ProxyError | Pending:
        """Decide about a request; `model` is the one asked for, "" where unknown."""

    def settle(self, admission: Admission, event: UsageEvent) -> None:
        """Give back what was reserved and count what was really used. The event need not be priced yet."""

    def abandon(self, pending: Pending) -> None:
        """Give up waiting; an admission that comes of it after all is given back."""

    def update(self, limits: Iterable[Limit]) -> None:
        """Use these limits from now on."""

    def start(self) -> None:
        """Start what runs beside the data path."""

    def stop(self) -> None:
        """Settle what is open and end; blocks for a moment."""


class AdmitAll:
    """No limits."""

    def admit(
        self,
        caller: Caller,  # noqa: ARG002 (part of the interface)
        protocol: str,  # noqa: ARG002
        endpoint: str,  # noqa: ARG002
        request_bytes: int,  # noqa: ARG002
        model: str,  # noqa: ARG002
    ) -> Admission | ProxyError | Pending:
        """Let every request through."""
        return ADMITTED

    def settle(self, admission: Admission, event: UsageEvent) -> None:
        """Count nothing."""

    def abandon(self, pending: Pending) -> None:
        """Do nothing: no request is ever pending."""

    def update(self, limits: Iterable[Limit]) -> None:
        """Take no notice."""

    def start(self) -> None:
        """Do nothing: nothing runs beside."""

    def stop(self) -> None:
        """Do nothing: nothing is open."""


#: What a request gets that no limit applies to.
ADMITTED = Admission()


def is_free(endpoint: str) -> bool:
    """Whether an endpoint, named by the provider's path, counts towards no limit: it makes no model work."""
    return endpoint.startswith(_FREE)
