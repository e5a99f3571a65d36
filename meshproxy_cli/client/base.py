"""What commands may ask of a server. On this machine the store's own parts answer, elsewhere its REST API."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import (
    AccessToken,
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


class Keys(Protocol):
    """API keys."""

    def create(self, project_id: str, name: str, description: str = "") -> ApiKey: ...

    def list(self, project_id: str) -> tuple[ApiKeyRecord, ...]: ...

    def revoke(self, project_id: str, key_id: str) -> None: ...


class Rooms(Protocol):
    """Rooms that were created or configured."""

    def list(self, project_id: str) -> tuple[Room, ...]: ...

    def put(self, room: Room) -> None: ...

    def remove(self, project_id: str, name: str) -> None: ...


class Limits(Protocol):
    """Limits, as they are set."""

    def list(self, project_id: str) -> tuple[Limit, ...]: ...

    def put(self, limit: Limit) -> None: ...

    def remove(self, limit: Limit) -> None: ...


class Events(Protocol):
    """Single usage events."""

    def list(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]: ...

    def export(self, query: UsageQuery) -> Iterator[UsageEvent]: ...

    def prune(self, before: datetime) -> int:
        """Delete the events of every project from before that time; sums stay. Return how many."""


class Usage(Protocol):
    """Sums of usage."""

    def report(self, query: UsageQuery) -> UsageReport: ...


class AccessTokens(Protocol):
    """Access tokens of the REST API and the dashboard."""

    def create(self, name: str, role: Role) -> tuple[AccessToken, str]: ...

    def list(self) -> tuple[AccessToken, ...]: ...

    def revoke(self, token_id: str) -> None: ...


class Audit(Protocol):
    """The audit log."""

    def list(self, *, limit: int = 100) -> tuple[AuditEntry, ...]: ...


class ServerClient(Protocol):
    """A server, local or remote. Raises the errors of `meshproxy_cli.errors`; a remote 401 is a `CredentialError`."""

    keys: Keys
    rooms: Rooms
    limits: Limits
    events: Events
    usage: Usage
    access_tokens: AccessTokens
    audit: Audit

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash, such as `http://127.0.0.1:8765`."""

    @property
    def project_id(self) -> str:
        """The id of the project whose keys, rooms, limits and usage are meant."""

    def project(self) -> Project: ...

    def streams_open(self) -> int | None:
        """Return how many responses are being sent right now; None if unknown."""

    def close(self) -> None: ...
