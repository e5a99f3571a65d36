"""Every REST call against a real store, its answers held to the published description."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from fixtures.webserver import Site, event
from meshproxy_cli.proxy.admin.openapi import describe
from meshproxy_cli.proxy.admin.rest import ENDPOINTS
from meshproxy_cli.store.events import Outcome, TokenCounts
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope
from meshproxy_cli.tokens.apikey import ApiKey

DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.json"
ADMIN_ONLY = [endpoint for endpoint in ENDPOINTS if endpoint.admin]


def url(site: Site, rest: str = "") -> str:
    return f"/accounts/projects/{site.project.id}{rest}"


def check(answer: Any, method: str, path: str, status: int = 200) -> Any:
    """Return the answer's JSON once it fits the description of that call."""
    assert answer.status_code == status, answer.text
    operation = describe()["paths"][path][method.lower()]
    body = answer.json()
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    jsonschema.validate(body, {**schema, "components": describe()["components"]})
    return body


def test_description_in_docs_is_the_generated_one() -> None:
    told = json.loads(DESCRIPTION.read_text("utf-8"))
    assert told == json.loads(json.dumps(describe())), "python -m meshproxy_cli.proxy.admin.openapi > docs/openapi.json"


def test_description_names_every_route_and_no_other(site: Site) -> None:
    routes = {
        (method, route.path)
        for route in site.app.routes
        if isinstance(route, Route) and route.path != "/" and not route.path.startswith("/dashboard")
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(method.upper(), path) for path, calls in describe()["paths"].items() for method in calls}
    assert routes == described


def test_description_is_served_without_a_token(site: Site) -> None:
    assert site.client().get("/openapi.json").json()["openapi"] == "3.1.0"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_every_call_wants_a_token(site: Site, endpoint: Any) -> None:
    path = endpoint.path.replace("{project_id}", site.project.id)
    for client in (site.client(), site.client("mpa_wrong"), site.client(ApiKey.generate(site.project.id).encode())):
        answer = client.request(endpoint.method, path)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "access_token_required"
        assert "bearer" in answer.headers["www-authenticate"].lower()


@pytest.mark.parametrize("endpoint", ADMIN_ONLY, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_a_viewer_changes_nothing(site: Site, viewer: TestClient, endpoint: Any) -> None:
    path = endpoint.path.replace("{project_id}", site.project.id)
    before = site.store.changes.revision()
    answer = viewer.request(endpoint.method, path, json={"name": "x", "role": "admin"})
    assert answer.status_code == 403
    assert site.store.changes.revision() == before


def test_every_changing_call_is_for_admins() -> None:
    assert all(endpoint.admin for endpoint in ENDPOINTS if endpoint.method != "GET")


def test_a_revoked_token_is_refused(site: Site, admin: TestClient) -> None:
    token = next(token for token in site.store.access_tokens.list() if token.name == "finance")
    viewer = site.client(site.viewer)
    assert viewer.get("/accounts/projects").status_code == 200
    assert admin.delete(f"/accounts/access-tokens/{token.id}").status_code == 204
    assert viewer.get("/accounts/projects").status_code == 401


def test_api_keys(site: Site, admin: TestClient, viewer: TestClient) -> None:
    path = "/accounts/projects/{project_id}/api-keys"
    made = check(
        admin.post(url(site, "/api-keys"), json={"name": "laptops", "description": "for developers"}), "POST", path
    )
    key = ApiKey.parse(made["value"])
    assert (made["id"], made["name"], made["description"]) == (key.id, "laptops", "for developers")
    assert key.project_id == site.project.id
    listed = viewer.get(url(site, "/api-keys"))
    assert [item["id"] for item in check(listed, "GET", path)["keys"]] == [key.id]
    assert key.secret not in listed.text
    assert admin.delete(url(site, f"/api-keys/{key.id}")).status_code == 204
    assert [signing.revoked for signing in site.store.keys.signing()] == [True]
    assert admin.delete(url(site, "/api-keys/6f1c8a52-7c0e-4f5b-9d4e-000000000000")).status_code == 404
    assert len(site.changes) == 2


def test_no_field_that_was_not_declared_is_taken(site: Site, admin: TestClient) -> None:
    answer = admin.post(url(site, "/api-keys"), json={"name": "x", "project_id": "other"})
    assert answer.status_code == 400
    assert "project_id" in answer.json()["error"]["message"]
    assert site.store.keys.list(site.project.id) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"name": ""}',
        b'{"name": " "}',
        b'{"name": "a\\u001b[31m"}',
        b'{"name": "x", "description": "a\\u0000b"}',
        b'{"name": 1}',
        b'{"name": "\xff"}',
        b"[" * 20_000,
    ],
)
def test_a_wrong_body_is_told(site: Site, admin: TestClient, body: bytes) -> None:
    answer = admin.post(url(site, "/api-keys"), content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/usage?room=a%00b"), ("GET", "/usage/events?after=%00"), ("DELETE", "/rooms/a%00b")]
)
def test_what_no_database_takes_is_told(site: Site, admin: TestClient, method: str, path: str) -> None:
    assert admin.request(method, url(site, path)).status_code == 400


def test_a_large_body_is_refused(site: Site, admin: TestClient) -> None:
    answer = admin.post(url(site, "/api-keys"), content=b'{"name": "' + b"x" * 100_000)
    assert answer.status_code == 413


def test_unknown_project(admin: TestClient) -> None:
    assert admin.get("/accounts/projects/nobody/usage").status_code == 404


def test_rooms(site: Site, admin: TestClient, viewer: TestClient) -> None:
    path = "/accounts/projects/{project_id}/rooms"
    settings = {
        "providers": {"openai": "azure"}, "models": ["openai/gpt-5*"], "aliases": {"default": "gpt-5.4"},
        "tools": ["image_generation"],
    }  # fmt: skip
    made = check(admin.put(url(site, "/rooms/backend"), json=settings), "PUT", path + "/{room}")
    assert {name: made[name] for name in settings} == settings
    changed = check(admin.put(url(site, "/rooms/backend"), json={}), "PUT", path + "/{room}")
    assert (changed["models"], changed["created_at"]) == ([], made["created_at"])
    assert [room["name"] for room in check(viewer.get(url(site, "/rooms")), "GET", path)["rooms"]] == ["backend"]
    assert admin.delete(url(site, "/rooms/backend")).status_code == 204
    assert site.store.rooms.list(site.project.id) == ()


@pytest.mark.parametrize(
    ("room", "settings", "word"),
    [
        ("x", {"providers": {"openai": "nobody"}}, "nobody"),
        ("x", {"providers": {"gemini": "openai"}}, "gemini"),
        ("x", {"models": "all"}, "models"),
        ("x", {"models": ["openai/gpt-5.4", "gpt-5.4"]}, "gpt-5.4"),
        ("%2e%2e", {}, "name"),
        ("a%0ab", {}, "name"),
        ("x" * 200, {}, "name"),
    ],
)
def test_a_wrong_room_is_told(site: Site, admin: TestClient, room: str, settings: dict[str, Any], word: str) -> None:
    answer = admin.put(url(site, f"/rooms/{room}"), json=settings)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]
    assert site.store.rooms.list(site.project.id) == ()


def test_limits(site: Site, admin: TestClient, viewer: TestClient) -> None:
    path = "/accounts/projects/{project_id}/limits"
    wanted = {"scope": "room", "subject": "*", "kind": "usd_per_day", "amount": 12.5, "hard": False}
    check(admin.put(url(site, "/limits"), json=wanted), "PUT", path)
    kept = Limit(
        project_id=site.project.id,
        scope=LimitScope.ROOM,
        subject="*",
        kind=LimitKind.USD_PER_DAY,
        amount=Decimal("12.5"),
        hard=False,
    )
    assert site.store.limits.list(site.project.id) == (kept,)
    assert check(viewer.get(url(site, "/limits")), "GET", path)["limits"] == [wanted | {"project_id": site.project.id}]
    which = {"scope": "room", "subject": "*", "kind": "usd_per_day"}
    assert admin.delete(url(site, "/limits"), params=which).status_code == 204
    assert site.store.limits.list(site.project.id) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"amount": -1},
        {"amount": "NaN"},
        {"amount": 1e30},
        {"amount": "1e-13"},
        {"kind": "donuts"},
        {"kind": "requests_per_minute", "amount": 0.5},
        {"scope": "project"},
        {"subject": ""},
    ],
)
def test_a_wrong_limit_is_told(site: Site, admin: TestClient, change: dict[str, Any]) -> None:
    limit = {"scope": "room", "subject": "*", "kind": "usd_per_day", "amount": 1} | change
    assert admin.put(url(site, "/limits"), json=limit).status_code == 400
    assert site.store.limits.list(site.project.id) == ()


def test_access_tokens_and_audit(site: Site, admin: TestClient) -> None:
    path = "/accounts/access-tokens"
    made = check(admin.post(path, json={"name": "report", "role": "viewer"}), "POST", path)
    assert site.client(made["value"]).get("/accounts/projects").status_code == 200
    listed = admin.get(path)
    assert {token["name"] for token in check(listed, "GET", path)["tokens"]} == {"maria", "finance", "report"}
    assert made["value"] not in listed.text
    admin.post(url(site, "/api-keys"), json={"name": "k"})
    audit = admin.get("/accounts/audit", params={"limit": 2})
    entries = check(audit, "GET", "/accounts/audit")["entries"]
    assert [(entry["actor"], entry["action"]) for entry in entries] == [
        ("maria", "api_key.create"),
        ("maria", "access_token.create"),
    ]
    assert {entry["origin"] for entry in entries} == {"testclient"}
    assert made["value"] not in audit.text


def test_projects_and_status(site: Site, viewer: TestClient) -> None:
    listed = check(viewer.get("/accounts/projects"), "GET", "/accounts/projects")
    shown = check(viewer.get(url(site)), "GET", "/accounts/projects/{project_id}")
    assert listed["projects"] == [shown]
    status = check(viewer.get("/accounts/status"), "GET", "/accounts/status")
    assert (status["version"], status["role"], status["ready"]) == ("9.9.9", "viewer", True)


def test_usage_has_mesh_agents_shape_and_ours(site: Site, viewer: TestClient) -> None:
    path = "/accounts/projects/{project_id}/usage"
    now = datetime.now(UTC)
    site.store.events.add(
        [
            event(site),
            event(site, room="ci", started_at=now - timedelta(days=2)),
            event(site, model_served="mystery", cost_usd=None),
            event(site, status=529, outcome=Outcome.PROVIDER_ERROR, tokens=TokenCounts(), cost_usd=None),
        ]
    )
    body = check(viewer.get(url(site, "/usage"), params={"by": "room"}), "GET", path)
    assert [(row["room"], row["requests"], row["input_tokens"]) for row in body["usage"]] == [
        ("backend", 3, 2000),
        ("ci", 1, 1000),
    ]
    totals = body["totals"]
    assert (totals["requests"], totals["cost_usd"]) == (4, 0.0246)
    assert (totals["unpriced_requests"], totals["failed_requests"]) == (1, 1)
    since = (now - timedelta(hours=1)).isoformat()  # its "+00:00" arrives as a blank where a client escapes too little
    for start in (since, since.replace("+00:00", " 00:00"), since.replace("+00:00", "Z")):
        recent = check(viewer.get(url(site, "/usage"), params={"start": start, "by": "room"}), "GET", path)
        assert [row["room"] for row in recent["usage"]] == ["backend"]
    daily = check(viewer.get(url(site, "/usage"), params={"interval": "1d", "room": "ci"}), "GET", path)
    assert daily["by"] == ["day"]
    assert [row["day"] for row in daily["usage"]] == [f"{now - timedelta(days=2):%Y-%m-%d}"]


@pytest.mark.parametrize(
    ("query", "word"),
    [({"by": "color"}, "color"), ({"interval": "week"}, "week"), ({"start": "soon"}, "start"), ({"rom": "x"}, "rom")],
)
def test_a_wrong_query_is_told(site: Site, viewer: TestClient, query: dict[str, str], word: str) -> None:
    answer = viewer.get(url(site, "/usage"), params=query)
    assert answer.status_code == 400
    assert word in answer.json()["error"]["message"]


def test_events_come_in_pages(site: Site, viewer: TestClient) -> None:
    path = "/accounts/projects/{project_id}/usage/events"
    events = [event(site) for _ in range(5)]
    site.store.events.add(events)
    ids, after, pages = [], None, 0
    while True:
        params = {"limit": "2"} | ({"after": after} if after else {})
        page = check(viewer.get(url(site, "/usage/events"), params=params), "GET", path)
        ids += [item["event_id"] for item in page["events"]]
        pages, after = pages + 1, page["next"]
        if after is None:
            break
    assert (ids, pages) == (sorted(item.event_id for item in events), 3)
    newest = check(viewer.get(url(site, "/usage/events"), params={"order": "newest", "limit": "1"}), "GET", path)
    assert newest["events"][0]["event_id"] == ids[-1]
    assert viewer.get(url(site, "/usage/events"), params={"order": "random"}).status_code == 400


def test_pruning_keeps_the_sums(site: Site, admin: TestClient) -> None:
    now = datetime.now(UTC)
    site.store.events.add([replace(event(site), started_at=now - timedelta(days=400)), event(site)])
    before = (now - timedelta(days=300)).isoformat()
    answer = admin.delete("/accounts/usage/events", params={"before": before})
    assert check(answer, "DELETE", "/accounts/usage/events") == {"dropped": 1}
    assert admin.get(url(site, "/usage")).json()["totals"]["requests"] == 2
    later = (now + timedelta(days=1)).isoformat()
    assert admin.delete("/accounts/usage/events", params={"before": later}).status_code == 400


def test_what_is_no_call_is_said(site: Site, admin: TestClient) -> None:
    assert admin.get("/nothing").json()["error"]["code"] == "not_found"
    assert admin.patch("/accounts/projects").json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("host", ["a/#@b", "a/../dashboard?x="])
def test_a_crafted_host_changes_no_decision(site: Site, host: str) -> None:
    answer = site.client().get("/accounts/projects", headers={"host": host})
    assert answer.status_code == 401
