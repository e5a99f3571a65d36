"""API keys, and the master key that encrypts their secrets."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.database import from_micros, now_micros
from meshproxy_cli.store.engine.schema import api_keys, control, projects
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.engine.vault import MasterKeyError
from meshproxy_cli.store.records import ApiKeyRecord, SigningKey
from meshproxy_cli.tokens.apikey import ApiKey


class Keys(Part):
    """Creates, lists and revokes API keys; secrets are stored encrypted."""

    def create(self, project_id: str, name: str, description: str = "") -> ApiKey:
        """Create an API key; its secret is not readable again. Raise `NotFoundError` for an unknown project."""
        while True:
            # Reading the master key may be slow (a keyring), so it is not done within a transaction.
            current = self.master_key_id()
            sealing = self.session.vault.sealing_key_id(current)
            with self.session.database.write() as connection:
                if _locked_master_key_id(connection) == current:
                    return self._add_key(connection, sealing, project_id, name, description)

    def _add_key(self, connection: Connection, sealing: str, project_id: str, name: str, description: str) -> ApiKey:
        if connection.execute(sa.select(projects.c.id).where(projects.c.id == project_id)).first() is None:
            raise NotFoundError(f"Project {project_id} not found.")
        key = ApiKey.generate(project_id)
        connection.execute(
            sa.insert(api_keys).values(
                id=key.id,
                project_id=project_id,
                name=name,
                description=description,
                sealed_secret=self.session.vault.seal(key.secret, sealing, key_id=key.id, project_id=project_id),
                master_key_id=sealing,
                created_at=now_micros(),
            )
        )
        # From now on a different master key of another machine is rejected.
        unclaimed = sa.update(control).where(control.c.master_key_id.is_(None))
        connection.execute(unclaimed.values(master_key_id=sealing))
        self.session.record_change(connection, "api_key.create", key.id, name=name)
        return key

    def list(self, project_id: str) -> tuple[ApiKeyRecord, ...]:
        """Return the project's API keys without secrets, including revoked ones, oldest first."""
        wanted = sa.select(api_keys).where(api_keys.c.project_id == project_id).order_by(api_keys.c.created_at)
        with self.session.database.read() as connection:
            return tuple(map(_record, connection.execute(wanted)))

    def revoke(self, project_id: str, key_id: str) -> None:
        """Revoke the API key permanently; revoking it again changes nothing. Raise `NotFoundError`."""
        this = sa.and_(api_keys.c.project_id == project_id, api_keys.c.id == key_id)
        with self.session.database.write() as connection:
            row = connection.execute(sa.select(api_keys.c.name, api_keys.c.revoked_at).where(this)).one_or_none()
            if row is None:
                raise NotFoundError(f"API key {key_id} not found in this project.")
            if row.revoked_at is None:
                connection.execute(sa.update(api_keys).where(this).values(revoked_at=now_micros()))
                self.session.record_change(connection, "api_key.revoke", key_id, name=row.name)

    def signing(self) -> tuple[SigningKey, ...]:
        """Return the API keys of every project with their secrets decrypted, for the proxy's directory.

        Revoked keys are included unless they can't be decrypted: revoking a damaged key gets rid of it.
        """
        with self.session.database.read() as connection:
            rows = connection.execute(sa.select(api_keys)).all()
        return tuple(key for row in rows if (key := self._opened(row)) is not None)

    def master_key_id(self) -> str | None:
        """Return the id of the master key in use; None while nothing is encrypted."""
        with self.session.database.read() as connection:
            current: str | None = connection.execute(sa.select(control.c.master_key_id)).scalar_one()
        return current

    def claim_master_key(self) -> None:
        """Bind an empty database to this machine's master key; raise `MasterKeyError` if it is bound to another.

        Two machines that start with different master keys then fail at once, not when a secret can't be decrypted.
        """
        current = self.master_key_id()
        sealing = self.session.vault.sealing_key_id(current)
        if current is None:
            with self.session.database.write() as connection:
                unclaimed = sa.update(control).where(control.c.master_key_id.is_(None))
                if not connection.execute(unclaimed.values(master_key_id=sealing)).rowcount:
                    self.session.vault.sealing_key_id(_locked_master_key_id(connection))

    def _opened(self, row: "Row[tuple[object, ...]]") -> SigningKey | None:
        revoked = row.revoked_at is not None
        try:
            secret = self.session.vault.open(
                row.sealed_secret, row.master_key_id, key_id=row.id, project_id=row.project_id
            )
        except MasterKeyError:
            if revoked:
                return None
            raise
        return SigningKey(id=row.id, project_id=row.project_id, secret=secret, revoked=revoked)

    def rotate_master_key(self) -> int:
        """Encrypt every secret with the vault's first key, all or none; return how many changed."""
        sealing = self.session.vault.newest_key_id(self.master_key_id())
        with self.session.database.write() as connection:
            before = _locked_master_key_id(connection)
            moved = 0
            for row in connection.execute(sa.select(api_keys).where(api_keys.c.master_key_id != sealing)).all():
                key = self._opened(row)
                if key is not None:
                    sealed = self.session.vault.seal(key.secret, sealing, key_id=key.id, project_id=key.project_id)
                    change = sa.update(api_keys).where(api_keys.c.id == key.id)
                    connection.execute(change.values(sealed_secret=sealed, master_key_id=sealing))
                    moved += 1
            if before != sealing:
                connection.execute(sa.update(control).values(master_key_id=sealing))
                self.session.record_change(connection, "master_key.rotate", sealing, keys=str(moved))
        return moved


def _locked_master_key_id(connection: Connection) -> str | None:
    """Return the id of the master key in use, locked until this transaction ends."""
    current: str | None = connection.execute(sa.select(control.c.master_key_id).with_for_update()).scalar_one()
    return current


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
