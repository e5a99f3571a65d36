"""Dashboard sessions that were ended before they expired."""

from datetime import datetime

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import now_micros, to_micros
from meshproxy_cli.store.engine.schema import ended_sessions
from meshproxy_cli.store.engine.session import Part


class DashboardSessions(Part):
    """Ends sessions at once, for all workers and replicas."""

    def end(self, session_id: str, expires_at: datetime) -> None:
        """End a session; ending it twice is no error."""
        insert = self.session.database.insert(ended_sessions)
        with self.session.database.write() as connection:
            connection.execute(sa.delete(ended_sessions).where(ended_sessions.c.expires_at < now_micros()))
            connection.execute(insert.values(id=session_id, expires_at=to_micros(expires_at)).on_conflict_do_nothing())

    def is_ended(self, session_id: str) -> bool:
        """Return whether that session was ended."""
        with self.session.database.read() as connection:
            wanted = sa.select(ended_sessions.c.id).where(ended_sessions.c.id == session_id)
            return connection.execute(wanted).first() is not None
