"""A server over REST: meshproxy's own, and MeshAgent's hosted service for the calls that exist there."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from meshproxy_cli.client.http import TIMEOUT_S, JsonApi, quote
from meshproxy_cli.client.rest import RestApi, json_object
from meshproxy_cli.errors import CredentialError, MeshproxyError, NotFoundError
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
from meshproxy_cli.store.wire import add_up, time_to_text, to_json, totals_from_json
from meshproxy_cli.tokens.apikey import ApiKey

if TYPE_CHECKING:
    from meshproxy_cli.client.base import AccessTokens, Audit, Events, Keys, Limits, Rooms, Usage

_PAGE = 1000


class RemoteClient:
    """`ServerClient` over HTTP.

    `access_token` has the role admin or viewer; without a `project_id` the server's only project is used.
    """

    def __init__(
        self, url: str, access_token: str, project_id: str | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        if not access_token:
            raise CredentialError(f"no access token for {url}", hint="see `meshproxy server add --help`")
        self._api = api = RestApi(JsonApi(url.rstrip("/"), access_token, timeout_s))
        self._project_id = project_id
        self.keys: Keys = _Keys(api)
        self.rooms: Rooms = _Rooms(api)
        self.limits: Limits = _Limits(api)
        self.events: Events = _Events(api, self)
        self.usage: Usage = _Usage(api, self)
        self.access_tokens: AccessTokens = _AccessTokens(api)
        self.audit: Audit = _Audit(api)

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash."""
        return self._api.url

    @property
    def project_id(self) -> str:
        """The id that was given, or that of the server's only project."""
        return self._project_id or self.project().id

    def status(self) -> dict[str, Any]:
        """Return the server's version, providers, readiness and our role there, as `GET /accounts/status` has them."""
        return self._api.get("/accounts/status")

    def project(self) -> Project:
        """Return the project with the given id, or the server's only one."""
        if self._project_id is not None:
            return self._api.parse(Project, self._api.get(self._api.path(self._project_id)))
        projects = self._api.records(Project, "/accounts/projects", "projects")
        if len(projects) != 1:
            names = ", ".join(f"{project.name} ({project.id})" for project in projects)
            raise NotFoundError(
                f"{self.url} has {len(projects)} projects and none was chosen: {names}.",
                hint="set MESHAGENT_PROJECT_ID to one of their ids",
            )
        self._project_id = projects[0].id
        return projects[0]

    def streams_open(self) -> int | None:
        """Return how many responses the server is sending right now; None if it does not say."""
        try:
            return int(self.status()["streams_open"])
        except (MeshproxyError, KeyError, TypeError, ValueError):
            return None

    def close(self) -> None:
        """Do nothing: no connection stays open between calls."""


class _Keys:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    def create(self, project_id: str, name: str, description: str = "") -> ApiKey:
        body = {"name": name, "description": description}
        return ApiKey.parse(str(self._api.post(self._api.path(project_id, "api-keys"), body).get("value", "")))

    def list(self, project_id: str) -> tuple[ApiKeyRecord, ...]:
        defaults = {"project_id": project_id, "description": "", "created_at": "1970-01-01T00:00:00Z"}
        given = map(_without_nulls, self._api.items(self._api.path(project_id, "api-keys"), "keys"))
        return tuple(self._api.parse(ApiKeyRecord, defaults | key) for key in given)

    def revoke(self, project_id: str, key_id: str) -> None:
        self._api.delete(self._api.path(project_id, "api-keys", key_id))


class _Rooms:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    def list(self, project_id: str) -> tuple[Room, ...]:
        return self._api.records(Room, self._api.path(project_id, "rooms"), "rooms")

    def put(self, room: Room) -> None:
        body: dict[str, object] = {"providers": room.providers, "models": [*room.models], "aliases": room.aliases}
        if room.tools:  # which servers before 0.2 do not know
            body["tools"] = [*room.tools]
        self._api.put(self._api.path(room.project_id, "rooms", room.name), body)

    def remove(self, project_id: str, name: str) -> None:
        self._api.delete(self._api.path(project_id, "rooms", name))


class _Limits:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    def list(self, project_id: str) -> tuple[Limit, ...]:
        return self._api.records(Limit, self._api.path(project_id, "limits"), "limits")

    def put(self, limit: Limit) -> None:
        body = {name: value for name, value in to_json(limit).items() if name != "project_id"}
        self._api.put(self._api.path(limit.project_id, "limits"), body)

    def remove(self, limit: Limit) -> None:
        which = {"scope": limit.scope.value, "subject": limit.subject, "kind": limit.kind.value}
        self._api.delete(self._api.path(limit.project_id, "limits"), which)


class _Events:
    def __init__(self, api: RestApi, client: RemoteClient) -> None:
        self._api = api
        self._client = client

    def list(
        self, query: UsageQuery, *, after: str | None = None, limit: int = 1000, newest_first: bool = False
    ) -> tuple[UsageEvent, ...]:
        parameters = _filters(query) | {"limit": str(limit), "order": "newest" if newest_first else "oldest"}
        if after is not None:
            parameters["after"] = after
        path = self._api.path(query.project_id or self._client.project_id, "usage", "events")
        return self._api.records(UsageEvent, path, "events", parameters)

    def export(self, query: UsageQuery) -> Iterator[UsageEvent]:
        after = None
        while True:
            page = self.list(query, after=after, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].event_id

    def prune(self, before: datetime) -> int:
        answer = self._api.delete("/accounts/usage/events", {"before": time_to_text(before)})
        return int(json_object(answer).get("dropped", 0))


class _Usage:
    def __init__(self, api: RestApi, client: RemoteClient) -> None:
        self._api = api
        self._client = client

    def report(self, query: UsageQuery) -> UsageReport:
        """Sum up usage; totals are computed here, so that they match the rows."""
        path = self._api.path(query.project_id or self._client.project_id, "usage")
        parameters = _filters(query) | {"by": ",".join(query.by)}
        rows = tuple(self._row(query, row) for row in self._api.items(path, "usage", parameters))
        return UsageReport(by=query.by, rows=rows, totals=add_up(row.totals for row in rows))

    def _row(self, query: UsageQuery, row: dict[str, Any]) -> UsageRow:
        keys = {group.value: str(row.get(group.value, "")) for group in query.by}
        try:
            return UsageRow(keys=keys, totals=totals_from_json(row))
        except ValueError as problem:
            raise self._api.unknown_form(problem) from None


class _AccessTokens:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    def create(self, name: str, role: Role) -> tuple[AccessToken, str]:
        answer = self._api.post("/accounts/access-tokens", {"name": name, "role": role.value})
        return self._api.parse(AccessToken, answer.get("token")), str(answer.get("value", ""))

    def list(self) -> tuple[AccessToken, ...]:
        return self._api.records(AccessToken, "/accounts/access-tokens", "tokens")

    def revoke(self, token_id: str) -> None:
        self._api.delete(f"/accounts/access-tokens/{quote(token_id)}")


class _Audit:
    def __init__(self, api: RestApi) -> None:
        self._api = api

    def list(self, *, limit: int = 100) -> tuple[AuditEntry, ...]:
        return self._api.records(AuditEntry, "/accounts/audit", "entries", {"limit": str(limit)})


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
