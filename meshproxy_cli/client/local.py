"""The server of this machine, straight on its store: works whether `meshproxy serve` runs or not."""

import getpass
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import (
    AccessToken,
    Actor,
    ApiKeyRecord,
    AuditEntry,
    Limit,
    Project,
    Role,
    Room,
    UsageQuery,
    UsageReport,
)
from meshproxy_cli.tokens.apikey import ApiKey

if TYPE_CHECKING:
    from meshproxy_cli.store.engine.vault import KeyLoader

ORIGIN = "local"
_STALE_S = 10.0


class LocalClient:
    """Implements `client.base.ServerClient`. Changes go into the audit log under the name of the OS user."""

    def __init__(
        self,
        store_url: str,
        project_name: str,
        server_url: str,
        master_key: bytes | Sequence[bytes] | None,
        *,
        load_master_keys: "KeyLoader | None" = None,
        workers_dir: Path | None = None,
    ) -> None:
        """Open the store; in `workers_dir` the workers of a running server tell their numbers every second."""
        store = open_store(store_url, master_key=master_key, load_master_keys=load_master_keys)
        self._store = store.acting_as(this_user())
        self._project_name = project_name
        self._project: Project | None = None
        self._workers_dir = workers_dir
        self._url = server_url.rstrip("/")

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash, such as `http://127.0.0.1:8765`."""
        return self._url

    def project(self) -> Project:
        """Return the project, made on first use."""
        if self._project is None:
            self._project = self._store.ensure_project(self._project_name)
        return self._project

    def create_api_key(self, name: str, description: str = "") -> ApiKey:
        """Make a key; its secret can't be read again."""
        return self._store.create_api_key(self.project().id, name, description)

    def api_keys(self) -> tuple[ApiKeyRecord, ...]:
        """Return the project's keys, revoked ones too."""
        return self._store.api_keys(self.project().id)

    def revoke_api_key(self, key_id: str) -> None:
        """Revoke a key for good; raise `NotFoundError` where there is none."""
        self._store.revoke_api_key(self.project().id, key_id)

    def usage(self, query: UsageQuery) -> UsageReport:
        """Add usage up."""
        return self._store.usage(self._ours(query))

    def events(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        """Return single events."""
        return self._store.events(self._ours(query), after=after, limit=limit, newest_first=newest_first)

    def export_events(self, query: UsageQuery) -> Iterator[UsageEvent]:
        """Every matching event, oldest first."""
        return self._store.export_events(self._ours(query))

    def prune_events(self, before: datetime) -> int:
        """Drop raw events from before that time; totals stay. Return how many."""
        return self._store.prune_events(before)

    def streams_open(self) -> int | None:
        """Return how many answers the running server is sending; None where none runs."""
        if self._workers_dir is None:
            return None
        found = [snapshot for path in self._workers_dir.glob("*.json") if (snapshot := _fresh(path)) is not None]
        return sum(found) if found else None

    def rooms(self) -> tuple[Room, ...]:
        """Return the rooms that were created or configured."""
        return self._store.rooms(self.project().id)

    def put_room(self, room: Room) -> None:
        """Create or replace a room's configuration."""
        self._store.put_room(room)

    def remove_room(self, name: str) -> None:
        """Remove a room's configuration; raise `NotFoundError` where there is none."""
        self._store.remove_room(self.project().id, name)

    def limits(self) -> tuple[Limit, ...]:
        """Return the project's limits."""
        return self._store.limits(self.project().id)

    def put_limit(self, limit: Limit) -> None:
        """Set a limit."""
        self._store.put_limit(limit)

    def remove_limit(self, limit: Limit) -> None:
        """Remove a limit; raise `NotFoundError` where there is none."""
        self._store.remove_limit(limit)

    def create_access_token(self, name: str, role: Role) -> tuple[AccessToken, str]:
        """Make an access token and return it with its text."""
        return self._store.create_access_token(name, role)

    def access_tokens(self) -> tuple[AccessToken, ...]:
        """Return every access token, revoked ones too."""
        return self._store.access_tokens()

    def revoke_access_token(self, token_id: str) -> None:
        """Revoke an access token; raise `NotFoundError` where there is none."""
        self._store.revoke_access_token(token_id)

    def audit_entries(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return audit entries, the newest first."""
        return self._store.audit_entries(limit=limit)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def _ours(self, query: UsageQuery) -> UsageQuery:
        return query if query.project_id is not None else replace(query, project_id=self.project().id)


def _fresh(path: Path) -> int | None:
    """Return the streams that a worker has open, or None where its file is damaged or older than `_STALE_S`."""
    try:
        snapshot = json.loads(path.read_bytes())
        return int(snapshot["streams_open"]) if time.time() - snapshot["written_at"] < _STALE_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def this_user() -> Actor:
    """Return how the audit log names the user of this machine who runs a command."""
    try:
        return Actor(name=getpass.getuser(), origin=ORIGIN)
    except (KeyError, OSError):  # a container's user without a name
        return Actor(name="unknown", origin=ORIGIN)
