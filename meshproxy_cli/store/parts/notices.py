"""What the server announced to its host, and when it first did."""

from datetime import datetime

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import from_micros, to_micros
from meshproxy_cli.store.engine.schema import notices
from meshproxy_cli.store.engine.session import Part


class Notices(Part):
    """Remembers announcements, so that a restart does not postpone what they announce."""

    def announce(self, name: str, now: datetime) -> datetime:
        """Return when `name` was first announced, which is `now` if it was not yet."""
        insert = self.session.database.insert(notices).values(name=name, at=to_micros(now))
        with self.session.database.write() as connection:
            connection.execute(insert.on_conflict_do_nothing())
            return from_micros(connection.execute(sa.select(notices.c.at).where(notices.c.name == name)).scalar_one())
