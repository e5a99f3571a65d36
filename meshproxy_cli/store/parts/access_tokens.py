"""Access tokens of the REST API and the dashboard."""

import hashlib
import secrets
import uuid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.database import from_micros, now_micros, to_micros
from meshproxy_cli.store.engine.schema import access_tokens
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.records import AccessToken, Role

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

TOKEN_PREFIX = "mpa_"  # noqa: S105 (what every token starts with, so that secret scanners know them)
_TOKEN_BYTES = 32
_USE_RECORDED_EVERY_MICROS = 60 * 1_000_000


class AccessTokens(Part):
    """Creates, lists, revokes and checks access tokens."""

    def create(self, name: str, role: Role) -> tuple[AccessToken, str]:
        """Create an access token and return it with its text, which is not stored."""
        text = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
        token = AccessToken(id=str(uuid.uuid4()), name=name, role=role, created_at=from_micros(now_micros()))
        with self.session.database.write() as connection:
            connection.execute(
                sa.insert(access_tokens).values(
                    id=token.id,
                    name=name,
                    role=role.value,
                    token_hash=_hashed(text),
                    created_at=to_micros(token.created_at),
                )
            )
            self.session.record_change(connection, "access_token.create", token.id, name=name, role=role.value)
        return token, text

    def list(self) -> tuple[AccessToken, ...]:
        """Return every access token, including revoked ones, oldest first."""
        with self.session.database.read() as connection:
            found = connection.execute(sa.select(access_tokens).order_by(access_tokens.c.created_at)).all()
        return tuple(map(_token, found))

    def revoke(self, token_id: str) -> None:
        """Revoke the access token permanently; revoking it again changes nothing. Raise `NotFoundError`."""
        this = access_tokens.c.id == token_id
        with self.session.database.write() as connection:
            row = connection.execute(sa.select(access_tokens).where(this)).one_or_none()
            if row is None:
                raise NotFoundError(f"Access token {token_id} not found.")
            if row.revoked_at is None:
                connection.execute(sa.update(access_tokens).where(this).values(revoked_at=now_micros()))
                self.session.record_change(connection, "access_token.revoke", token_id, name=row.name)

    def check(self, text: str) -> AccessToken | None:
        """Return the access token with that text, None if unknown or revoked; record its use once a minute."""
        # The tokens are random and long: an unsalted hash reveals nothing, and neither does the time of the lookup.
        wanted = sa.select(access_tokens).where(access_tokens.c.token_hash == _hashed(text))
        with self.session.database.read() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None or row.revoked_at is not None:
            return None
        now = now_micros()
        if now - (row.last_used_at or 0) >= _USE_RECORDED_EVERY_MICROS:
            with self.session.database.write() as connection:
                this = access_tokens.c.id == row.id
                connection.execute(sa.update(access_tokens).where(this).values(last_used_at=now))
        return _token(row)


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
