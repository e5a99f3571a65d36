"""Projects and API keys."""

import uuid

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.database import from_micros, now_micros
from meshproxy_cli.store.engine.schema import api_keys, control, projects
from meshproxy_cli.store.engine.session import StoreSession
from meshproxy_cli.store.engine.vault import MasterKeyError
from meshproxy_cli.store.records import ApiKeyRecord, Project, SigningKey
from meshproxy_cli.tokens.apikey import ApiKey


class Keys(StoreSession):
    """Implements `base.KeyStore`."""

    def ensure_project(self, name: str = "default") -> Project:
        """Return the project of that name, made on first use (once, however many ask at the same time)."""
        return self._project(name) or self._create_project(name)

    def _project(self, name: str) -> Project | None:
        with self.database.read() as connection:
            row = connection.execute(sa.select(projects).where(projects.c.name == name)).one_or_none()
        return _project(row) if row else None

    def _create_project(self, name: str) -> Project:
        values = {"id": str(uuid.uuid4()), "name": name, "created_at": now_micros()}
        with self.database.write() as connection:
            made = connection.execute(
                self.database.insert(projects).values(values).on_conflict_do_nothing(index_elements=["name"])
            )
            if made.rowcount:
                self.changed(connection, "project.create", name)
            return _project(connection.execute(sa.select(projects).where(projects.c.name == name)).one())

    def projects(self) -> tuple[Project, ...]:
        """Return every project by name."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(projects)).all()
        return tuple(sorted(map(_project, found), key=lambda project: project.name))

    def create_api_key(self, project_id: str, name: str, description: str = "") -> ApiKey:
        """Make a key; the secret is kept encrypted. Raise `NotFoundError` where there is no such project."""
        while True:
            # Finding the master key may take a while (a keyring): not within a transaction.
            current = self.master_key_id()
            sealing = self.vault.sealing_key_id(current)
            with self.database.write() as connection:
                if _locked_master_key_id(connection) == current:
                    return self._add_key(connection, sealing, project_id, name, description)

    def _add_key(self, connection: Connection, sealing: str, project_id: str, name: str, description: str) -> ApiKey:
        if connection.execute(sa.select(projects.c.id).where(projects.c.id == project_id)).first() is None:
            raise NotFoundError(f"There is no project {project_id}.")
        key = ApiKey.generate(project_id)
        connection.execute(
            sa.insert(api_keys).values(
                id=key.id,
                project_id=project_id,
                name=name,
                description=description,
                sealed_secret=self.vault.seal(key.secret, sealing, key_id=key.id, project_id=project_id),
                master_key_id=sealing,
                created_at=now_micros(),
            )
        )
        # Another machine's own master key is refused from now on.
        unclaimed = sa.update(control).where(control.c.master_key_id.is_(None))
        connection.execute(unclaimed.values(master_key_id=sealing))
        self.changed(connection, "api_key.create", key.id, name=name)
        return key

    def api_keys(self, project_id: str) -> tuple[ApiKeyRecord, ...]:
        """Return the project's keys, revoked ones too, the oldest first."""
        wanted = sa.select(api_keys).where(api_keys.c.project_id == project_id).order_by(api_keys.c.created_at)
        with self.database.read() as connection:
            return tuple(map(_record, connection.execute(wanted)))

    def revoke_api_key(self, project_id: str, key_id: str) -> None:
        """Revoke it for good; raise `NotFoundError` where there is none. Revoking twice is no error."""
        this = sa.and_(api_keys.c.project_id == project_id, api_keys.c.id == key_id)
        with self.database.write() as connection:
            row = connection.execute(sa.select(api_keys.c.name, api_keys.c.revoked_at).where(this)).one_or_none()
            if row is None:
                raise NotFoundError(f"There is no API key {key_id} in this project.")
            if row.revoked_at is None:
                connection.execute(sa.update(api_keys).where(this).values(revoked_at=now_micros()))
                self.changed(connection, "api_key.revoke", key_id, name=row.name)

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every key of every project with its secret decrypted, for the proxy's directory.

        Revoked ones are there too, but for those that can't be opened any more: a damaged key is got rid of that way.
        """
        with self.database.read() as connection:
            rows = connection.execute(sa.select(api_keys)).all()
        return tuple(key for row in rows if (key := self._opened(row)) is not None)

    def master_key_id(self) -> str | None:
        """Return the id of the master key that the database is under; None where nothing is encrypted yet."""
        with self.database.read() as connection:
            current: str | None = connection.execute(sa.select(control.c.master_key_id)).scalar_one()
        return current

    def claim_master_key(self) -> None:
        """Put an empty database under this machine's master key; raise `MasterKeyError` where it is under another.

        Two machines that start with one each then find out at once, and not when secrets can no longer be read.
        """
        current = self.master_key_id()
        sealing = self.vault.sealing_key_id(current)
        if current is None:
            with self.database.write() as connection:
                unclaimed = sa.update(control).where(control.c.master_key_id.is_(None))
                if not connection.execute(unclaimed.values(master_key_id=sealing)).rowcount:
                    self.vault.sealing_key_id(_locked_master_key_id(connection))

    def _opened(self, row: "Row[tuple[object, ...]]") -> SigningKey | None:
        revoked = row.revoked_at is not None
        try:
            secret = self.vault.open(row.sealed_secret, row.master_key_id, key_id=row.id, project_id=row.project_id)
        except MasterKeyError:
            if revoked:
                return None
            raise
        return SigningKey(id=row.id, project_id=row.project_id, secret=secret, revoked=revoked)

    def rotate_master_key(self) -> int:
        """Seal every secret with the vault's first key, all or none; return how many were under another one."""
        sealing = self.vault.newest_key_id(self.master_key_id())
        with self.database.write() as connection:
            before = _locked_master_key_id(connection)
            moved = 0
            for row in connection.execute(sa.select(api_keys).where(api_keys.c.master_key_id != sealing)).all():
                key = self._opened(row)
                if key is not None:
                    sealed = self.vault.seal(key.secret, sealing, key_id=key.id, project_id=key.project_id)
                    change = sa.update(api_keys).where(api_keys.c.id == key.id)
                    connection.execute(change.values(sealed_secret=sealed, master_key_id=sealing))
                    moved += 1
            if before != sealing:
                connection.execute(sa.update(control).values(master_key_id=sealing))
                self.changed(connection, "master_key.rotate", sealing, keys=str(moved))
        return moved


def _locked_master_key_id(connection: Connection) -> str | None:
    """Return the id of the master key in force, which nobody else changes before this transaction ends."""
    current: str | None = connection.execute(sa.select(control.c.master_key_id).with_for_update()).scalar_one()
    return current


def _project(row: "Row[tuple[object, ...]]") -> Project:
    return Project(id=row.id, name=row.name, created_at=from_micros(row.created_at))


def _record(row: "Row[tuple[object, ...]]") -> ApiKeyRecord:
    return ApiKeyRecord(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        description=row.description,
        created_at=from_micros(row.created_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
        last_used_at=None if row.last_used_at is None else from_micros(row.last_used_at),
    )
