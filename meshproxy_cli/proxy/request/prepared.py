"""What is derived from a request's head alone.

A connection keeps it for its next request: clients repeat their heads to the byte, but for the length of the body, and
then nothing has to be parsed, checked or decided again.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.core.routes import ProviderRoute
from meshproxy_cli.proxy.events.entry import Subject, subject_of
from meshproxy_cli.proxy.http1.head import RequestHead

if TYPE_CHECKING:
    from meshproxy_cli.proxy.config.server import Provider
    from meshproxy_cli.proxy.config.targets import Target
    from meshproxy_cli.proxy.core.caller import Caller
    from meshproxy_cli.store.records import Room

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*+([0-9]++)[ \t]*+\r\n", re.IGNORECASE)
_LONGEST_LENGTH = 15


@dataclass(slots=True)
class CallerContext:
    """Who sent a head: true for one config_version of the gateway, and `until` the token expires (Unix time)."""

    config_version: int
    until: float
    caller: "Caller"
    room: "Room | None"
    provider: "Provider | None" = None
    _subject: "Subject | None" = None

    def subject_of(self, route: ProviderRoute, method: bytes, provider: "Provider | None") -> Subject:
        """Return what the events of this caller's requests share; None for a provider: it was not asked."""
        if self._subject is not None and provider is self.provider:
            return self._subject
        name = route.protocol if provider is None else provider.name
        subject = subject_of(self.caller, name, route.endpoint.path, method.decode())
        if provider is not None and provider is self.provider:
            self._subject = subject
        return subject


class Prepared:
    """A head for a provider, its route, and what both lead to."""

    __slots__ = ("_after", "_before", "context", "head", "keeps", "route", "sent", "websocket")

    def __init__(self, block: bytes, head: RequestHead, route: ProviderRoute) -> None:
        self.head = head
        self.route = route
        self.keeps = head.keeps_alive
        self.websocket = b"upgrade" in head.by_name and head.value(b"upgrade").lower() == b"websocket"
        self.context: CallerContext | None = None
        self.sent: tuple[Target, bytes] | None = None  # the head as it went upstream, up to the length
        found = _LENGTH.search(block)
        self._before, self._after = (block, b"") if found is None else (block[: found.start(1)], block[found.end(1) :])

    def repeats(self, data: bytes) -> int:
        """Return where the body begins in `data` if it begins with this head, whatever the length; 0 if it does not.

        `head.length` is that of the new request then.
        """
        before = self._before
        if not data.startswith(before):
            return 0
        after = self._after
        place = len(before)
        if not after:
            return place
        stop = data.find(after[:1], place, place + _LONGEST_LENGTH + 1)
        digits = data[place:stop]
        if stop < 0 or not digits.isdigit() or not data.startswith(after, stop):
            return 0
        self.head.length = int(digits)
        return stop + len(after)
