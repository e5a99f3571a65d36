"""Projects."""

import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.store.engine.database import from_micros, now_micros
from meshproxy_cli.store.engine.schema import projects
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import Project

if TYPE_CHECKING:
    from sqlalchemy.engine import Row


class Projects(Part):
    """The tenants of a server."""

    def ensure(self, name: str = "default") -> Project:
        """Return the project with that name; create it on first use, once even if several processes ask."""
        return self._find(name) or self._create(name)

    def list(self) -> tuple[Project, ...]:
        """Return every project, sorted by name."""
        with self.session.database.read() as connection:
            found = connection.execute(sa.select(projects)).all()
        return tuple(sorted(map(_project, found), key=lambda project: project.name))

    def _find(self, name: str) -> Project | None:
        with self.session.database.read() as connection:
            row = connection.execute(sa.select(projects).where(projects.c.name == name)).one_or_none()
        return _project(row) if row else None

    def _create(self, name: str) -> Project:
        values = {"id": str(uuid.uuid4()), "name": name, "created_at": now_micros()}
        database = self.session.database
        with database.write() as connection:
            created = connection.execute(
                database.insert(projects).values(values).on_conflict_do_nothing(index_elements=["name"])
            )
            if created.rowcount:
                self.session.record_change(connection, "project.create", name)
            return _project(connection.execute(sa.select(projects).where(projects.c.name == name)).one())


def _project(row: "Row[tuple[object, ...]]") -> Project:
    return Project(id=row.id, name=row.name, created_at=from_micros(row.created_at))
