"""What the parts of the store share: the database, the vault, the actor, and how a change is announced."""

from dataclasses import dataclass, replace
from typing import Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine.database import Database, now_micros
from meshproxy_cli.store.engine.partitions import Partitions
from meshproxy_cli.store.engine.schema import audit_log, control
from meshproxy_cli.store.engine.vault import Vault
from meshproxy_cli.store.records import Actor

#: The PostgreSQL channel on which changes of control data are announced.
CHANNEL = "meshproxy_changes"


@dataclass(frozen=True, slots=True)
class StoreSession:
    """The database and who uses it; without an `actor` changes are not entered in the audit log."""

    database: Database
    vault: Vault
    partitions: Partitions
    actor: Actor | None = None

    def acting_as(self, actor: Actor) -> Self:
        """Return the same session; its changes are entered in the audit log under `actor`."""
        return replace(self, actor=actor)

    def record_change(self, connection: Connection, action: str, target: str, **details: str) -> None:
        """Raise the revision, notify other processes, and write the audit log, all in the change's transaction."""
        connection.execute(sa.update(control).values(revision=control.c.revision + 1))
        if self.database.is_postgresql:
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
        if self.actor is not None:
            entry = {"actor": self.actor.name, "action": action, "target": target, "origin": self.actor.origin}
            connection.execute(sa.insert(audit_log).values(at=now_micros(), details=details, **entry))


@dataclass(frozen=True, slots=True)
class Part:
    """Base of the store's parts."""

    session: StoreSession
