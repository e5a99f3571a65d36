"""What the parts of the store share: the database, the vault, who is acting, and how a change is made known."""

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


@dataclass(frozen=True)
class StoreSession:
    """Base of the store's parts; `actor` is whom the audit log names, None where the caller keeps its own."""

    database: Database
    vault: Vault
    partitions: Partitions
    actor: Actor | None = None

    def acting_as(self, actor: Actor) -> Self:
        """Return the same store, whose changes are entered in the audit log under `actor`."""
        return replace(self, actor=actor)

    def changed(self, connection: Connection, action: str, target: str, **details: str) -> None:
        """Within a change's transaction: raise the revision, wake the others, and write the audit log."""
        connection.execute(sa.update(control).values(revision=control.c.revision + 1))
        if self.database.is_postgresql:
            connection.execute(sa.select(sa.func.pg_notify(CHANNEL, "")))
        if self.actor is not None:
            entry = {"actor": self.actor.name, "action": action, "target": target, "origin": self.actor.origin}
            connection.execute(sa.insert(audit_log).values(at=now_micros(), details=details, **entry))
