"""Single events: pages of them, and all of them in bounded memory."""

from collections.abc import Iterator

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import to_micros
from meshproxy_cli.store.engine.schema import usage_events
from meshproxy_cli.store.engine.session import StoreSession
from meshproxy_cli.store.eventrows import from_row
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import UsageQuery

_PAGE = 2000
_FILTERS = ("project_id", "room", "session", "participant", "model", "provider")


class EventLog(StoreSession):
    """Reads single events."""

    def events(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        """Return single events that match (`by` is ignored) in order of `event_id`, those past `after` only."""
        key = usage_events.c.event_id
        wanted = _matching(query).order_by(key.desc() if newest_first else key).limit(limit)
        if after is not None:
            wanted = wanted.where(key < after if newest_first else key > after)
        with self.database.read() as connection:
            return tuple(map(from_row, connection.execute(wanted)))

    def export_events(self, query: UsageQuery) -> Iterator[UsageEvent]:
        """Every matching event, oldest first, in pages: no transaction stays open while the caller writes."""
        order = sa.tuple_(usage_events.c.started_at, usage_events.c.event_id)
        pages = _matching(query).order_by(usage_events.c.started_at, usage_events.c.event_id).limit(_PAGE)
        wanted = pages
        while True:
            with self.database.read() as connection:
                rows = connection.execute(wanted).all()
            yield from map(from_row, rows)
            if len(rows) < _PAGE:
                return
            wanted = pages.where(order > sa.tuple_(sa.literal(rows[-1].started_at), sa.literal(rows[-1].event_id)))


def _matching(query: UsageQuery) -> "sa.Select[tuple[object, ...]]":
    conditions = [usage_events.c[name] == getattr(query, name) for name in _FILTERS if getattr(query, name) is not None]
    if query.since is not None:
        conditions.append(usage_events.c.started_at >= to_micros(query.since))
    if query.until is not None:
        conditions.append(usage_events.c.started_at < to_micros(query.until))
    return sa.select(usage_events).where(*conditions)
