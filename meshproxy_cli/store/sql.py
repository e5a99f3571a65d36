"""The store, put together from its parts."""

from meshproxy_cli.store.access import Access
from meshproxy_cli.store.changes import Changes
from meshproxy_cli.store.eventlog import EventLog
from meshproxy_cli.store.keys import Keys
from meshproxy_cli.store.ledger import Ledger
from meshproxy_cli.store.owners import AnswerOwners
from meshproxy_cli.store.quotas import Quotas
from meshproxy_cli.store.reports import Reports
from meshproxy_cli.store.rooms import Rooms


class SqlStore(Keys, Rooms, Ledger, Reports, EventLog, Access, Quotas, AnswerOwners, Changes):
    """Implements `base.Store` on SQLite and PostgreSQL; safe to share between threads."""

    def close(self) -> None:
        """Close every connection."""
        self.database.close()
