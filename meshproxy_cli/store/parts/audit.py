"""The audit log."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import from_micros, to_micros
from meshproxy_cli.store.engine.schema import audit_log
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import AuditEntry

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Audit(Part):
    """Who changed what, when and from where."""

    def record(self, entry: AuditEntry) -> None:
        """Add an entry; changes made through `Store.acting_as` add their own."""
        with self.session.database.write() as connection:
            connection.execute(
                sa.insert(audit_log).values(
                    at=to_micros(entry.at),
                    actor=entry.actor,
                    action=entry.action,
                    target=entry.target,
                    origin=entry.origin,
                    details=entry.details,
                )
            )

    def list(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return entries, newest first."""
        with self.session.database.read() as connection:
            found = connection.execute(sa.select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)).all()
        return tuple(map(_entry, found))


def _entry(row: "Row[tuple[object, ...]]") -> AuditEntry:
    return AuditEntry(
        at=from_micros(row.at),
        actor=row.actor,
        action=row.action,
        target=row.target,
        origin=row.origin,
        details=row.details,
    )
