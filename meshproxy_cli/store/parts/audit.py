"""The audit log."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import from_micros
from meshproxy_cli.store.engine.schema import audit_log
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import AuditEntry

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Audit(Part):
    """Who changed what, when and from where."""

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
