"""The store, put together from its parts."""

from meshproxy_cli.store.parts.access_tokens import Access
from meshproxy_cli.store.parts.changes import Changes
from meshproxy_cli.store.parts.eventlog import EventLog
from meshproxy_cli.store.parts.events import Ledger
from meshproxy_cli.store.parts.keys import Keys
from meshproxy_cli.store.parts.leases import Quotas
from meshproxy_cli.store.parts.owners import AnswerOwners
from meshproxy_cli.store.parts.rooms import Rooms
from meshproxy_cli.store.parts.usage import Reports


class SqlStore(Keys, Rooms, Ledger, Reports, EventLog, Access, Quotas, AnswerOwners, Changes):
    """Implements `base.Store` on SQLite and PostgreSQL; safe to share between threads."""

    def close(self) -> None:
        """Close every connection."""
        self.database.close()
