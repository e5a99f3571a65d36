"""Access tokens of the REST API and the dashboard, and the audit log."""

import hashlib
import secrets
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.database import from_micros, now_micros, to_micros
from meshproxy_cli.store.records import AccessToken, AuditEntry, Role
from meshproxy_cli.store.schema import access_tokens, audit_log, ended_sessions, notices
from meshproxy_cli.store.session import StoreSession

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

TOKEN_PREFIX = "mpa_"  # noqa: S105 (what every token starts with, so that secret scanners know them)
_TOKEN_BYTES = 32
_NOTED_ONCE_IN_MICROS = 60 * 1_000_000


class Access(StoreSession):
    """Implements `base.AccessStore`."""

    def create_access_token(self, name: str, role: Role) -> tuple[AccessToken, str]:
        """Make one and return it with its text, which is not stored."""
        text = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        token = AccessToken(id=str(uuid.uuid4()), name=name, role=role, created_at=from_micros(now_micros()))
        with self.database.write() as connection:
            connection.execute(
                sa.insert(access_tokens).values(
                    id=token.id,
                    name=name,
                    role=role.value,
                    token_hash=_hashed(text),
                    created_at=to_micros(token.created_at),
                )
            )
            self.changed(connection, "access_token.create", token.id, name=name, role=role.value)
        return token, text

    def access_tokens(self) -> tuple[AccessToken, ...]:
        """Return every token, revoked ones too, the oldest first."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(access_tokens).order_by(access_tokens.c.created_at)).all()
        return tuple(map(_token, found))

    def revoke_access_token(self, token_id: str) -> None:
        """Revoke it for good; raise `NotFoundError` where there is none. Revoking twice is no error."""
        this = access_tokens.c.id == token_id
        with self.database.write() as connection:
            row = connection.execute(sa.select(access_tokens).where(this)).one_or_none()
            if row is None:
                raise NotFoundError(f"There is no access token {token_id}.")
            if row.revoked_at is None:
                connection.execute(sa.update(access_tokens).where(this).values(revoked_at=now_micros()))
                self.changed(connection, "access_token.revoke", token_id, name=row.name)

    def check_access_token(self, text: str) -> AccessToken | None:
        """Return the unrevoked token with that text, or None; notes its use, at most once a minute."""
        # The tokens are random and long: an unsalted hash tells nothing, and looking it up leaks no timing of use.
        wanted = sa.select(access_tokens).where(access_tokens.c.token_hash == _hashed(text))
        with self.database.read() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        now = now_micros()
        if now - (row.last_used_at or 0) >= _NOTED_ONCE_IN_MICROS:
            with self.database.write() as connection:
                noted = sa.update(access_tokens).where(access_tokens.c.id == row.id).values(last_used_at=now)
                connection.execute(noted)
        return _token(row)

    def end_session(self, session_id: str, expires_at: datetime) -> None:
        """Make a dashboard session invalid at once, for all workers and replicas; ending it twice is no error."""
        with self.database.write() as connection:
            connection.execute(sa.delete(ended_sessions).where(ended_sessions.c.expires_at < now_micros()))
            self._insert_once(connection, ended_sessions, id=session_id, expires_at=to_micros(expires_at))

    def session_ended(self, session_id: str) -> bool:
        """Return whether that dashboard session was ended."""
        with self.database.read() as connection:
            this = ended_sessions.c.id == session_id
            return connection.execute(sa.select(ended_sessions.c.id).where(this)).first() is not None

    def announce(self, name: str, now: datetime) -> datetime:
        """Return when `name` was first announced, which is `now` if it was not yet."""
        with self.database.write() as connection:
            self._insert_once(connection, notices, name=name, at=to_micros(now))
            this = notices.c.name == name
            return from_micros(connection.execute(sa.select(notices.c.at).where(this)).scalar_one())

    def _insert_once(self, connection: Connection, table: sa.Table, **values: object) -> None:
        insert = postgresql.insert if self.database.is_postgresql else sqlite.insert
        connection.execute(insert(table).values(**values).on_conflict_do_nothing())

    def audit(self, entry: AuditEntry) -> None:
        """Write an entry of its own; changes made through `acting_as` have theirs already."""
        with self.database.write() as connection:
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

    def audit_entries(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return entries, the newest first."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)).all()
        return tuple(map(_entry, found))


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


def _token(row: "Row[tuple[object, ...]]") -> AccessToken:
    return AccessToken(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        created_at=from_micros(row.created_at),
        revoked_at=None if row.revoked_at is None else from_micros(row.revoked_at),
        last_used_at=None if row.last_used_at is None else from_micros(row.last_used_at),
    )


def _entry(row: "Row[tuple[object, ...]]") -> AuditEntry:
    return AuditEntry(
        at=from_micros(row.at),
        actor=row.actor,
        action=row.action,
        target=row.target,
        origin=row.origin,
        details=row.details,
    )
