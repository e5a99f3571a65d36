"""A server over REST: meshproxy's own, and MeshAgent's hosted service for the calls that exist there."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar

from meshproxy_cli.client.http import TIMEOUT_S, JsonApi, quote
from meshproxy_cli.errors import CredentialError, MeshproxyError, NotFoundError, UnavailableError
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
    UsageRow,
)
from meshproxy_cli.store.wire import add_up, from_json, time_to_text, to_json, totals_from_json
from meshproxy_cli.tokens.apikey import ApiKey

T = TypeVar("T")
_PAGE = 1000


class RemoteClient:
    """`ServerClient` over HTTP.

    `access_token` is an admin's or a viewer's; without a `project_id` the server's only project is meant.
    """

    def __init__(
        self, url: str, access_token: str, project_id: str | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        if not access_token:
            raise CredentialError(
                f"There is no access token for {url}.", hint="`meshproxy server add --help` says how one is kept"
            )
        self._api = JsonApi(url.rstrip("/"), access_token, timeout_s)
        self._project_id = project_id

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash."""
        return self._api.url

    def status(self) -> dict[str, Any]:
        """Return the server's version, providers, readiness and our role there, as `GET /accounts/status` has them."""
        return _object(self._api.call("GET", "/accounts/status"))

    def project(self) -> Project:
        """Return the project of the id that was given, or the server's only one."""
        if self._project_id is not None:
            return self._parse(Project, self._api.call("GET", f"/accounts/projects/{quote(self._project_id)}"))
        projects = self._list(Project, "/accounts/projects", "projects")
        if len(projects) != 1:
            names = ", ".join(f"{project.name} ({project.id})" for project in projects)
            raise NotFoundError(
                f"{self.url} has {len(projects)} projects and none was chosen: {names}.",
                hint="set MESHAGENT_PROJECT_ID to one's id",
            )
        self._project_id = projects[0].id
        return projects[0]

    def create_api_key(self, name: str, description: str = "") -> ApiKey:
        """Make a key; the server shows it this once."""
        answer = self._api.call("POST", self._path("api-keys"), body={"name": name, "description": description})
        return ApiKey.parse(str(_object(answer).get("value", "")))

    def api_keys(self) -> tuple[ApiKeyRecord, ...]:
        """List keys without their secrets."""
        known = {"project_id": self._id(), "description": "", "created_at": "1970-01-01T00:00:00Z"}
        given = [_without_nulls(key) for key in self._items(self._path("api-keys"), "keys")]
        return tuple(self._parse(ApiKeyRecord, known | key) for key in given)

    def revoke_api_key(self, key_id: str) -> None:
        """Revoke a key for good."""
        self._api.call("DELETE", self._path("api-keys", key_id))

    def usage(self, query: UsageQuery) -> UsageReport:
        """Sum up usage; the totals are added up here, so that they are those of the rows."""
        parameters = _filters(query) | {"by": ",".join(query.by)}
        rows = tuple(self._row(query, row) for row in self._items(self._path("usage"), "usage", query=parameters))
        return UsageReport(by=query.by, rows=rows, totals=add_up(row.totals for row in rows))

    def events(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        """List single events that match, past the event id `after`."""
        parameters = _filters(query) | {"limit": str(limit), "order": "newest" if newest_first else "oldest"}
        if after is not None:
            parameters["after"] = after
        return self._list(UsageEvent, self._path("usage", "events"), "events", query=parameters)

    def export_events(self, query: UsageQuery) -> Iterator[UsageEvent]:
        """Every matching event, oldest first, a page at a time."""
        after = None
        while True:
            page = self.events(query, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    def prune_events(self, before: datetime) -> int:
        """Drop single events from before that time; sums stay. Return how many."""
        answer = self._api.call("DELETE", "/accounts/usage/events", query={"before": time_to_text(before)})
        return int(_object(answer).get("dropped", 0))

    def streams_open(self) -> int | None:
        """Return how many answers the server is sending right now; None where it does not tell."""
        try:
            return int(self.status()["streams_open"])
        except (MeshproxyError, KeyError, TypeError, ValueError):
            return None

    def rooms(self) -> tuple[Room, ...]:
        """List the rooms that were created."""
        return self._list(Room, self._path("rooms"), "rooms")

    def put_room(self, room: Room) -> None:
        """Create a room or replace its settings."""
        body = {"providers": room.providers, "models": list(room.models), "aliases": room.aliases}
        if room.tools:  # which servers before 0.2 do not know
            body["tools"] = list(room.tools)
        self._api.call("PUT", self._path("rooms", room.name), body=body)

    def remove_room(self, name: str) -> None:
        """Remove a room's settings."""
        self._api.call("DELETE", self._path("rooms", name))

    def limits(self) -> tuple[Limit, ...]:
        """List the project's limits."""
        return self._list(Limit, self._path("limits"), "limits")

    def put_limit(self, limit: Limit) -> None:
        """Set a limit, in the place of one with the same scope, subject and kind."""
        body = {name: value for name, value in to_json(limit).items() if name != "project_id"}
        self._api.call("PUT", self._path("limits"), body=body)

    def remove_limit(self, limit: Limit) -> None:
        """Remove the limit with that scope, subject and kind."""
        which = {"scope": limit.scope.value, "subject": limit.subject, "kind": limit.kind.value}
        self._api.call("DELETE", self._path("limits"), query=which)

    def create_access_token(self, name: str, role: Role) -> tuple[AccessToken, str]:
        """Make an access token; its text is shown this once."""
        answer = _object(self._api.call("POST", "/accounts/access-tokens", body={"name": name, "role": role.value}))
        return self._parse(AccessToken, answer.get("token")), str(answer.get("value", ""))

    def access_tokens(self) -> tuple[AccessToken, ...]:
        """List access tokens without their texts."""
        return self._list(AccessToken, "/accounts/access-tokens", "tokens")

    def revoke_access_token(self, token_id: str) -> None:
        """Revoke an access token."""
        self._api.call("DELETE", f"/accounts/access-tokens/{quote(token_id)}")

    def audit_entries(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        """Read the audit log, the newest first."""
        return self._list(AuditEntry, "/accounts/audit", "entries", query={"limit": str(limit)})

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _id(self) -> str:
        return self._project_id or self.project().id

    def _path(self, *segments: str) -> str:
        return "/".join(("/accounts/projects", quote(self._id()), *map(quote, segments)))

    def _list(self, kind: type[T], path: str, name: str, *, query: dict[str, str] | None = None) -> tuple[T, ...]:
        return tuple(self._parse(kind, item) for item in self._items(path, name, query=query))

    def _items(self, path: str, name: str, *, query: dict[str, str] | None = None) -> list[dict[str, Any]]:
        items = _object(self._api.call("GET", path, query=query)).get(name)
        if not isinstance(items, list):
            raise self._foreign(ValueError(f"there is no list of {name}"))
        return [_object(item) for item in items]

    def _row(self, query: UsageQuery, row: dict[str, Any]) -> UsageRow:
        keys = {group.value: str(row.get(group.value, "")) for group in query.by}
        try:
            return UsageRow(keys=keys, totals=totals_from_json(row))
        except ValueError as problem:
            raise self._foreign(problem) from None

    def _parse(self, kind: type[T], item: Any) -> T:  # noqa: ANN401 (any JSON value)
        try:
            return from_json(kind, item)
        except ValueError as problem:
            raise self._foreign(problem) from None

    def _foreign(self, problem: ValueError) -> MeshproxyError:
        return UnavailableError(
            f"{self.url} answered in a form that this version does not know: {problem}.",
            hint="`meshproxy --version` and the server's version may be too far apart",
        )


def _object(answer: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON value)
    if not isinstance(answer, dict):
        raise UnavailableError("The server's answer is no JSON object.", hint="is this the address of a Room Proxy?")
    return answer


def _without_nulls(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}


def _filters(query: UsageQuery) -> dict[str, str]:
    names = {
        "room": query.room,
        "session": query.session,
        "participant": query.participant,
        "model": query.model,
        "provider": query.provider,
        "start": time_to_text(query.since) if query.since else None,
        "end": time_to_text(query.until) if query.until else None,
    }
    return {name: value for name, value in names.items() if value is not None}
