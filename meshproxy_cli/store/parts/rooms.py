"""Rooms that were created or configured."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.database import from_micros, to_micros
from meshproxy_cli.store.engine.schema import rooms
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import Room

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Rooms(Part):
    """Lists, configures and removes rooms."""

    def list(self, project_id: str) -> tuple[Room, ...]:
        """Return the project's rooms, sorted by name."""
        with self.session.database.read() as connection:
            found = connection.execute(sa.select(rooms).where(rooms.c.project_id == project_id)).all()
        return tuple(sorted(map(_room, found), key=lambda room: room.name))

    def put(self, room: Room) -> None:
        """Create the room or replace its configuration; `created_at` is kept."""
        configuration = {
            "providers": room.providers,
            "models": list(room.models),
            "aliases": room.aliases,
            "tools": list(room.tools),
        }
        row = {"project_id": room.project_id, "name": room.name, "created_at": to_micros(room.created_at)}
        with self.session.database.write() as connection:
            connection.execute(
                self.session.database.insert(rooms)
                .values(**row, **configuration)
                .on_conflict_do_update(index_elements=["project_id", "name"], set_=configuration)
            )
            self.session.record_change(connection, "room.put", room.name, **_described(room))

    def remove(self, project_id: str, name: str) -> None:
        """Remove the room's configuration; raise `NotFoundError` if there is none."""
        with self.session.database.write() as connection:
            removed = connection.execute(sa.delete(rooms).where(rooms.c.project_id == project_id, rooms.c.name == name))
            if not removed.rowcount:
                raise NotFoundError(f"Room {name!r} not found: it was not created or configured.")
            self.session.record_change(connection, "room.remove", name)


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
