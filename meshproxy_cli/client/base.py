"""What every command asks of a server."""

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


class ServerClient(Protocol):
    """A server, local or remote. Raises the errors of `meshproxy_cli.errors`; a remote 401 is a `CredentialError`."""

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash, such as `http://127.0.0.1:8765`."""

    def project(self) -> Project: ...

    def create_api_key(self, name: str, description: str = "") -> ApiKey: ...

    def api_keys(self) -> tuple[ApiKeyRecord, ...]: ...

    def revoke_api_key(self, key_id: str) -> None: ...

    def usage(self, query: UsageQuery) -> UsageReport: ...

    def events(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]: ...

    def export_events(self, query: UsageQuery) -> Iterator[UsageEvent]: ...

    def prune_events(self, before: datetime) -> int:
        """Drop single events from before that time, of every project; sums stay. Return how many."""

    def streams_open(self) -> int | None:
        """Return how many answers are on their way right now; None where that can't be known."""

    def rooms(self) -> tuple[Room, ...]: ...

    def put_room(self, room: Room) -> None: ...

    def remove_room(self, name: str) -> None: ...

    def limits(self) -> tuple[Limit, ...]: ...

    def put_limit(self, limit: Limit) -> None: ...

    def remove_limit(self, limit: Limit) -> None: ...

    def create_access_token(self, name: str, role: Role) -> tuple[AccessToken, str]: ...

    def access_tokens(self) -> tuple[AccessToken, ...]: ...

    def revoke_access_token(self, token_id: str) -> None: ...

    def audit_entries(self, *, limit: int = 100) -> tuple[AuditEntry, ...]: ...

    def close(self) -> None: ...
