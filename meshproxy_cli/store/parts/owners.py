"""Which room a provider's answer belongs to, so that a follow-up request may reach any machine."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa

from meshproxy_cli.store.engine import bulk
from meshproxy_cli.store.engine.database import now_micros, to_micros
from meshproxy_cli.store.engine.schema import answer_owners
from meshproxy_cli.store.engine.session import Part


class AnswerOwners(Part):
    """Records and finds the owners of answers; ids and owners are hashes."""

    def record(self, owners: Mapping[str, str]) -> None:
        """Record owners by id; an id keeps its first owner."""
        if not owners:
            return
        now = now_micros()
        # In the order of ids, as all machines do: two that insert the same ones must not wait for each other.
        rows = [(ident, owner, now) for ident, owner in sorted(owners.items())]
        with self.session.database.write() as connection:
            bulk.insert_new(connection, answer_owners, rows)

    def find(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Return the owners of those ids that have one."""
        wanted = sa.select(answer_owners.c.id, answer_owners.c.owner).where(answer_owners.c.id.in_(list(ids)))
        with self.session.database.read() as connection:
            return {row.id: row.owner for row in connection.execute(wanted)}

    def prune(self, before: datetime) -> int:
        """Delete owners recorded before that time; return how many."""
        with self.session.database.write() as connection:
            return connection.execute(
                sa.delete(answer_owners).where(answer_owners.c.created_at < to_micros(before))
            ).rowcount
