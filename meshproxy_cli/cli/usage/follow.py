"""Events as they come: the store is asked again and again for what is new."""

from collections import deque
from collections.abc import Iterator

from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import UsageQuery

# Workers and replicas ship in turns, so an event may come after one with a greater id: this many are read again.
_OVERLAP = 500
_PAGE = 1000


class Follower:
    """Remembers which events were seen; `poll` returns the others, oldest first."""

    def __init__(self, client: ServerClient, query: UsageQuery) -> None:
        self._client = client
        self._query = query
        self._recent: deque[str] = deque(maxlen=_OVERLAP)
        self._seen: set[str] = set()

    def start(self, show: int) -> tuple[UsageEvent, ...]:
        """Take every event up to now as seen, and return the last `show` of them."""
        newest = self._client.events.list(self._query, limit=max(show, _OVERLAP), newest_first=True)
        events = tuple(reversed(newest))
        self._remember(events)
        return events[len(events) - min(show, len(events)) :]

    def poll(self) -> tuple[UsageEvent, ...]:
        """Return the events that are new since the last time."""
        fresh = tuple(event for event in self._since_overlap() if event.event_id not in self._seen)
        self._remember(fresh)
        return fresh

    def _since_overlap(self) -> Iterator[UsageEvent]:
        after = self._recent[0] if len(self._recent) == _OVERLAP else None
        while True:
            page = self._client.events.list(self._query, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    def _remember(self, events: tuple[UsageEvent, ...]) -> None:
        ids = sorted({*self._recent, *(event.event_id for event in events)})[-_OVERLAP:]
        self._recent = deque(ids, maxlen=_OVERLAP)
        self._seen = set(ids)
