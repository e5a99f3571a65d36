"""How a worker learns within a moment that keys, rooms, limits or access tokens changed."""

import contextlib
import time
from collections.abc import Iterator

import sqlalchemy as sa

from meshproxy_cli.store.base import ChangeFeed
from meshproxy_cli.store.schema import control
from meshproxy_cli.store.session import StoreSession

_POLL_S = 0.1


class Changes(StoreSession):
    """The revision of control data, and feeds of it."""

    def change_token(self) -> str:
        """Return a value that differs once keys, rooms, limits or access tokens changed; cheap to ask often."""
        with self.database.read() as connection:
            return str(connection.execute(sa.select(control.c.revision)).scalar_one())

    @contextlib.contextmanager
    def changes(self) -> Iterator[ChangeFeed]:
        """Open a feed of changes (LISTEN/NOTIFY where the engine has it, else polling of `change_token`)."""
        yield PollingFeed(self)


class PollingFeed:
    """Asks for the change token now and then."""

    def __init__(self, store: Changes) -> None:
        self._store = store
        self._seen = store.change_token()

    def wait(self, timeout_s: float) -> bool:
        """Block until something changed (True) or the time is over (False)."""
        deadline = time.monotonic() + timeout_s
        while True:
            token = self._store.change_token()
            if token != self._seen:
                self._seen = token
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_POLL_S, left))
