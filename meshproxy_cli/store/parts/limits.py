"""Limits, as they are set; `parts.leases` counts against them."""

from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.schema import limits
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Limits(Part):
    """Lists, sets and removes limits."""

    def list(self, project_id: str | None = None) -> tuple[Limit, ...]:
        """Return the limits of a project, or of every project, in a stable order."""
        wanted = sa.select(limits)
        if project_id is not None:
            wanted = wanted.where(limits.c.project_id == project_id)
        with self.session.database.read() as connection:
            found = connection.execute(wanted).all()
        return tuple(sorted(map(_limit, found), key=lambda limit: (limit.project_id, _target(limit))))

    def put(self, limit: Limit) -> None:
        """Set the limit; it replaces one with the same scope, subject and kind."""
        values = {"amount": format(limit.amount.normalize(), "f"), "hard": limit.hard}
        with self.session.database.write() as connection:
            connection.execute(
                self.session.database.insert(limits)
                .values(**_key(limit), **values)
                .on_conflict_do_update(index_elements=["project_id", "scope", "subject", "kind"], set_=values)
            )
            self.session.record_change(
                connection, "limit.put", _target(limit), amount=str(values["amount"]), hard=str(limit.hard).lower()
            )

    def remove(self, limit: Limit) -> None:
        """Remove the limit with that scope, subject and kind; raise `NotFoundError` if there is none."""
        this = sa.and_(*(limits.c[name] == value for name, value in _key(limit).items()))
        with self.session.database.write() as connection:
            if not connection.execute(sa.delete(limits).where(this)).rowcount:
                raise NotFoundError(f"Limit {_target(limit)} not found.")
            self.session.record_change(connection, "limit.remove", _target(limit))


def _key(limit: Limit) -> dict[str, str]:
    return {
        "project_id": limit.project_id,
        "scope": limit.scope.value,
        "subject": limit.subject,
        "kind": limit.kind.value,
    }


def _target(limit: Limit) -> str:
    return " ".join(part for part in (limit.scope.value, limit.subject, limit.kind.value) if part)


def _limit(row: "Row[tuple[object, ...]]") -> Limit:
    return Limit(
        project_id=row.project_id,
        scope=LimitScope(row.scope),
        subject=row.subject,
        kind=LimitKind(row.kind),
        amount=Decimal(row.amount),
        hard=row.hard,
    )
