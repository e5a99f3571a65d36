"""Rooms and limits."""

from decimal import Decimal
from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.database import from_micros, to_micros
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, Room
from meshproxy_cli.store.schema import limits, rooms
from meshproxy_cli.store.session import StoreSession

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Rooms(StoreSession):
    """Implements `base.RoomStore`."""

    def rooms(self, project_id: str) -> tuple[Room, ...]:
        """Return the project's rooms by name."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(rooms).where(rooms.c.project_id == project_id)).all()
        return tuple(sorted(map(_room, found), key=lambda room: room.name))

    def put_room(self, room: Room) -> None:
        """Create the room or replace its configuration; the time of its creation stays."""
        configuration = {
            "providers": room.providers,
            "models": list(room.models),
            "aliases": room.aliases,
            "tools": list(room.tools),
        }
        row = {"project_id": room.project_id, "name": room.name, "created_at": to_micros(room.created_at)}
        with self.database.write() as connection:
            connection.execute(
                self.database.insert(rooms)
                .values(**row, **configuration)
                .on_conflict_do_update(index_elements=["project_id", "name"], set_=configuration)
            )
            self.changed(connection, "room.put", room.name, **_described(room))

    def remove_room(self, project_id: str, name: str) -> None:
        """Remove the room's configuration; raise `NotFoundError` where there is none."""
        with self.database.write() as connection:
            gone = connection.execute(sa.delete(rooms).where(rooms.c.project_id == project_id, rooms.c.name == name))
            if not gone.rowcount:
                raise NotFoundError(f"There is no room {name!r} that was created or configured.")
            self.changed(connection, "room.remove", name)

    def limits(self, project_id: str | None = None) -> tuple[Limit, ...]:
        """Return limits in a stable order; of every project where none is named."""
        wanted = sa.select(limits)
        if project_id is not None:
            wanted = wanted.where(limits.c.project_id == project_id)
        with self.database.read() as connection:
            found = connection.execute(wanted).all()
        return tuple(sorted(map(_limit, found), key=lambda limit: (limit.project_id, _target(limit))))

    def put_limit(self, limit: Limit) -> None:
        """Set the limit, replacing an earlier one of the same scope, subject and kind."""
        values = {"amount": format(limit.amount.normalize(), "f"), "hard": limit.hard}
        with self.database.write() as connection:
            connection.execute(
                self.database.insert(limits)
                .values(**_key(limit), **values)
                .on_conflict_do_update(index_elements=["project_id", "scope", "subject", "kind"], set_=values)
            )
            self.changed(
                connection, "limit.put", _target(limit), amount=str(values["amount"]), hard=str(limit.hard).lower()
            )

    def remove_limit(self, limit: Limit) -> None:
        """Remove the limit of that scope, subject and kind; raise `NotFoundError` where there is none."""
        this = sa.and_(*(limits.c[name] == value for name, value in _key(limit).items()))
        with self.database.write() as connection:
            if not connection.execute(sa.delete(limits).where(this)).rowcount:
                raise NotFoundError(f"There is no limit {_target(limit)}.")
            self.changed(connection, "limit.remove", _target(limit))


def _key(limit: Limit) -> dict[str, str]:
    return {
        "project_id": limit.project_id,
        "scope": limit.scope.value,
        "subject": limit.subject,
        "kind": limit.kind.value,
    }


def _target(limit: Limit) -> str:
    return " ".join(part for part in (limit.scope.value, limit.subject, limit.kind.value) if part)


def _described(room: Room) -> dict[str, str]:
    described = {
        "providers": ", ".join(f"{protocol}={name}" for protocol, name in sorted(room.providers.items())),
        "models": ", ".join(room.models),
        "aliases": ", ".join(f"{alias}={model}" for alias, model in sorted(room.aliases.items())),
        "tools": ", ".join(room.tools),
    }
    return {name: value for name, value in described.items() if value}


def _room(row: "Row[tuple[object, ...]]") -> Room:
    return Room(
        name=row.name,
        project_id=row.project_id,
        created_at=from_micros(row.created_at),
        providers=row.providers,
        models=tuple(row.models),
        aliases=row.aliases,
        tools=tuple(row.tools or ()),  # NULL in rooms of earlier versions
    )


def _limit(row: "Row[tuple[object, ...]]") -> Limit:
    return Limit(
        project_id=row.project_id,
        scope=LimitScope(row.scope),
        subject=row.subject,
        kind=LimitKind(row.kind),
        amount=Decimal(row.amount),
        hard=row.hard,
    )
