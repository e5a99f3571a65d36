"""The store's interface. `store.open_store(url)` gives an implementation; the same suite tests every engine.

Methods are synchronous and may block; the proxy calls them from a thread of its own, never on a request's path.
Every method may raise `StoreUnavailableError` when the database is away, slow beyond its time limit or locked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, Self

from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.leases import LeaseAnswer, LeaseRequest
from meshproxy_cli.store.records import (
    AccessToken,
    Actor,
    ApiKeyRecord,
    AuditEntry,
    Limit,
    Project,
    Role,
    Room,
    SigningKey,
    UsageQuery,
    UsageReport,
)
from meshproxy_cli.tokens.apikey import ApiKey


class StoreUnavailableError(UnavailableError):
    """The database is away, locked or slower than its time limit."""


class KeyStore(Protocol):
    """Projects and API keys."""

    def ensure_project(self, name: str = "default") -> Project:
        """Return the project of that name, made on first use (once, however many ask at the same time)."""

    def projects(self) -> tuple[Project, ...]: ...

    def create_api_key(self, project_id: str, name: str, description: str = "") -> ApiKey:
        """Make a key; the secret is kept encrypted and can't be read back through this interface."""

    def api_keys(self, project_id: str) -> tuple[ApiKeyRecord, ...]: ...

    def revoke_api_key(self, project_id: str, key_id: str) -> None:
        """Revoke it for good; raise `NotFoundError` where there is none. Revoking twice is no error."""

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Every key of every project, revoked ones included, with its secret decrypted: for the proxy's directory."""


class RoomStore(Protocol):
    """Rooms and limits."""

    def rooms(self, project_id: str) -> tuple[Room, ...]: ...

    def put_room(self, room: Room) -> None: ...

    def remove_room(self, project_id: str, name: str) -> None: ...

    def limits(self, project_id: str | None = None) -> tuple[Limit, ...]: ...

    def put_limit(self, limit: Limit) -> None: ...

    def remove_limit(self, limit: Limit) -> None: ...


class UsageStore(Protocol):
    """The ledger."""

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store a batch and its roll-ups in one transaction, known events left out. Return how many are new."""

    def add_rows(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Store events given as rows (see `eventrows`), as `add_events` does."""

    def usage(self, query: UsageQuery) -> UsageReport: ...

    def events(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        """Return single events that match (`by` is ignored) in order of `event_id`, those past `after` only."""

    def export_events(self, query: UsageQuery) -> Iterator[UsageEvent]:
        """Every matching event, oldest first, read in bounded memory."""

    def prune_events(self, before: datetime) -> int:
        """Drop raw events from before that time; roll-ups stay. Return how many."""


class AccessStore(Protocol):
    """Access tokens of the REST API and dashboard, and the audit log."""

    def create_access_token(self, name: str, role: Role) -> tuple[AccessToken, str]:
        """Make one and return it with its text, which is not stored."""

    def access_tokens(self) -> tuple[AccessToken, ...]: ...

    def revoke_access_token(self, token_id: str) -> None: ...

    def check_access_token(self, text: str) -> AccessToken | None:
        """Return the unrevoked token with that text, or None; notes its use."""

    def end_session(self, session_id: str, expires_at: datetime) -> None:
        """Make a dashboard session invalid at once, everywhere."""

    def session_ended(self, session_id: str) -> bool: ...

    def announce(self, name: str, now: datetime) -> datetime:
        """Return when `name` was first announced, which is `now` if it was not yet."""

    def audit(self, entry: AuditEntry) -> None: ...

    def audit_entries(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Return entries, the newest first."""


class LimitStore(Protocol):
    """Counters of limits, and workers' leases on them."""

    def exchange(self, holder: str, requests: Sequence[LeaseRequest]) -> tuple[int, tuple[LeaseAnswer, ...]]:
        """Settle and renew a worker's leases; return the database's time (microseconds) and an answer to each."""

    def expire_leases(self) -> int:
        """Take back what dead workers held; return how many leases that were. To be called every few seconds."""


class OwnerStore(Protocol):
    """Whose the answers of providers are. Ids and owners are hashes."""

    def add_owners(self, owners: Mapping[str, str]) -> None:
        """Note owners by id; of an id that has one already the first one stays."""

    def owners(self, ids: Iterable[str]) -> Mapping[str, str]:
        """Return the owners of those ids that have one."""

    def prune_owners(self, before: datetime) -> int:
        """Forget owners that were noted before that time; return how many."""


class Store(KeyStore, RoomStore, UsageStore, AccessStore, LimitStore, OwnerStore, Protocol):
    """All of it, over one database."""

    def acting_as(self, actor: Actor) -> Self:
        """Return the same store, whose changes are entered in the audit log, each in the change's own transaction."""

    def change_token(self) -> str:
        """Return a value that differs once keys, rooms, limits or access tokens changed; cheap to ask often."""

    def changes(self) -> AbstractContextManager["ChangeFeed"]:
        """Open a feed of changes (LISTEN/NOTIFY where the engine has it, else polling of `change_token`)."""

    def close(self) -> None: ...


class ChangeFeed(Protocol):
    """Waits for a change of control data."""

    def wait(self, timeout_s: float) -> bool:
        """Block until something changed (True) or the time is over (False)."""
