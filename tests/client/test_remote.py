"""The remote client against the real application on a loopback port, and against servers that misbehave."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fixtures.webserver import Site, event, make_site, serving
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.client.remote import RemoteClient
from meshproxy_cli.errors import (
    ConflictError,
    CredentialError,
    MeshproxyError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from meshproxy_cli.store.records import GroupBy, Limit, LimitKind, LimitScope, Role, Room, UsageQuery
from meshproxy_cli.tokens.apikey import ApiKey

PROJECT = "8f1c2d4e-0000-4000-8000-000000000001"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = make_site(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def client(site: Site) -> Iterator[RemoteClient]:
    with serving(site.app) as url:
        yield RemoteClient(url + "/", site.admin, site.project.id)


@contextmanager
def foreign(status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[tuple[str, list[Any]]]:
    """Serve one answer to everything; yield the URL and the requests that came."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = handle_request  # noqa: N815 (http.server's names)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_it_is_a_server_client(client: RemoteClient) -> None:
    as_client: ServerClient = client
    assert not as_client.url.endswith("/")


def test_api_keys(site: Site, client: RemoteClient) -> None:
    key = client.keys.create(client.project_id, "laptops", "for all")
    assert site.store.keys.signing()[0].secret == key.secret
    assert client.keys.list(client.project_id) == site.store.keys.list(site.project.id)
    client.keys.revoke(client.project_id, key.id)
    assert client.keys.list(client.project_id)[0].revoked_at is not None
    with pytest.raises(NotFoundError):
        client.keys.revoke(client.project_id, "nothing/../here")


def test_rooms_limits_tokens_and_audit(site: Site, client: RemoteClient) -> None:
    room = Room(
        name="café ☕", project_id=site.project.id, created_at=datetime.now(UTC), providers={"openai": "azure"},
        models=("openai/*",), aliases={"default": "gpt-5.4"}, tools=("image_generation",),
    )  # fmt: skip
    client.rooms.put(room)
    assert client.rooms.list(client.project_id) == site.store.rooms.list(site.project.id)
    assert replace(client.rooms.list(client.project_id)[0], created_at=room.created_at) == room
    limit = Limit(
        project_id=site.project.id, scope=LimitScope.ROOM, subject=room.name, kind=LimitKind.USD_PER_DAY,
        amount=Decimal("0.1"), hard=False,
    )  # fmt: skip
    client.limits.put(limit)
    assert client.limits.list(client.project_id) == (limit,) == site.store.limits.list(site.project.id)
    client.limits.remove(limit)
    client.rooms.remove(client.project_id, room.name)
    assert (client.rooms.list(client.project_id), client.limits.list(client.project_id)) == ((), ())
    token, text = client.access_tokens.create("report", Role.VIEWER)
    assert site.store.access_tokens.check(text) is not None
    client.access_tokens.revoke(token.id)
    assert {known.name: known.revoked_at is None for known in client.access_tokens.list()}["report"] is False
    assert client.audit.list(limit=3) == site.store.audit.list(limit=3)


def test_usage_is_the_stores_to_the_last_digit(site: Site, client: RemoteClient) -> None:
    odd = Decimal("4567.123456789012")
    site.store.events.add(
        [event(site), event(site, room="ci", cost_usd=odd), event(site, cost_usd=None, model_served="?")]
    )
    since = datetime.now(UTC) - timedelta(hours=2)
    for by in ((GroupBy.ROOM,), (GroupBy.DAY, GroupBy.MODEL), (GroupBy.HOUR, GroupBy.KEY, GroupBy.AGENT)):
        query = UsageQuery(project_id=site.project.id, since=since, by=by)
        assert client.usage.report(query) == site.store.usage.report(query)
    query = UsageQuery(room="ci", by=(GroupBy.SESSION,))
    assert client.usage.report(query).totals.cost_usd == odd


def test_events_and_export(site: Site, client: RemoteClient) -> None:
    events = [event(site) for _ in range(7)]
    site.store.events.add(events)
    query = UsageQuery(session="codex-ana")
    assert client.events.list(query, after=events[2].event_id, limit=2) == tuple(events[3:5])
    assert client.events.list(query, limit=1, newest_first=True) == (events[-1],)
    assert list(client.events.export(query)) == events
    old = event(site, started_at=datetime.now(UTC) - timedelta(days=3))
    site.store.events.add([old])
    assert client.events.prune(datetime.now(UTC) - timedelta(days=1)) == 1
    assert list(client.events.export(query)) == events


def test_streams_open(site: Site, tmp_path: Path) -> None:
    (tmp_path / "busy").mkdir()
    busy = make_site(tmp_path / "busy", streams_open=lambda: 3)
    with serving(busy.app) as url:
        assert RemoteClient(url, busy.viewer).streams_open() == 3
    busy.store.close()


def test_without_a_project_the_only_one_is_meant(site: Site) -> None:
    with serving(site.app) as url:
        assert RemoteClient(url, site.viewer).project() == site.project
        assert RemoteClient(url, site.viewer).usage.report(UsageQuery()).rows == ()
        with pytest.raises(NotFoundError):
            RemoteClient(url, site.viewer, PROJECT).project()
        site.store.projects.ensure("second")
        with pytest.raises(NotFoundError) as two:
            RemoteClient(url, site.viewer).project()
    assert "second" in two.value.message
    assert "MESHAGENT_PROJECT_ID" in str(two.value.hint)


def test_a_viewer_may_read_only(site: Site) -> None:
    with serving(site.app) as url:
        viewer = RemoteClient(url, site.viewer, site.project.id)
        assert viewer.keys.list(viewer.project_id) == ()
        with pytest.raises(CredentialError, match="viewer token"):
            viewer.keys.create(viewer.project_id, "x")


def test_a_wrong_token_is_a_credential_error(site: Site) -> None:
    with serving(site.app) as url, pytest.raises(CredentialError) as refused:
        RemoteClient(url, "mpa_wrong-but-secret").project()
    assert "mpa_wrong" not in refused.value.message + str(refused.value.hint)
    assert "mpa_wrong" not in repr(RemoteClient(url, "mpa_wrong-but-secret")._api)


def test_mesh_agents_calls() -> None:
    key = ApiKey.generate(PROJECT)
    made = {"id": key.id, "name": "n", "description": "", "value": key.encode()}
    with foreign(200, json.dumps(made).encode()) as (url, seen):
        assert RemoteClient(url, "user-token", PROJECT).keys.create(PROJECT, "n", "d") == key
    (method, path, headers, body) = seen[0]
    assert (method, path) == ("POST", f"/accounts/projects/{PROJECT}/api-keys")
    assert (headers["Authorization"], json.loads(body)) == ("Bearer user-token", {"name": "n", "description": "d"})
    listed = {"keys": [{"id": key.id, "name": "n", "description": None, "created_by": "someone"}]}
    with foreign(200, json.dumps(listed).encode()) as (url, _):
        assert [found.name for found in RemoteClient(url, "t", PROJECT).keys.list(PROJECT)] == ["n"]
    rows = {"usage": [{"room": "a", "input_tokens": 5, "unit": "token"}, {"room": "b", "input_tokens": 7}]}
    with foreign(200, json.dumps(rows).encode()) as (url, seen):
        report = RemoteClient(url, "t", PROJECT).usage.report(UsageQuery(room="a", by=(GroupBy.ROOM,)))
    assert (report.totals.input_tokens, [row.keys for row in report.rows]) == (12, [{"room": "a"}, {"room": "b"}])
    assert seen[0][1] == f"/accounts/projects/{PROJECT}/usage?room=a&by=room"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", CredentialError),
        (403, b'{"error": {"message": "no"}}', CredentialError),
        (404, b"<html>", NotFoundError),
        (409, b'{"error": "taken"}', ConflictError),
        (400, b'{"error": {"message": "bad", "hint": "do"}}', UsageError),
        (429, b"[]", UnavailableError),
        (500, b"\xff\xfe", UnavailableError),
        (503, b'{"error": {"message": "The database is away."}}', UnavailableError),
        (200, b"<html>", UnavailableError),
        (200, b"[1]", UnavailableError),
        (200, b'{"projects": [{"id": 5}]}', UnavailableError),
        (200, b'{"projects": 5}', UnavailableError),
        (200, b"", UnavailableError),
    ],
)
def test_every_bad_answer_is_an_error_of_ours(status: int, body: bytes, kind: type[MeshproxyError]) -> None:
    with foreign(status, body) as (url, _), pytest.raises(kind) as problem:
        RemoteClient(url, "t").project()
    assert type(problem.value) is kind
    assert problem.value.message


def test_a_redirect_is_not_followed() -> None:
    with foreign(200, b"{}") as (target, reached):
        for status in (301, 302, 303, 307, 308):
            with (
                foreign(status, b"", {"Location": target}) as (url, _),
                pytest.raises(UnavailableError, match="redirect"),
            ):
                RemoteClient(url, "t").project()
    assert reached == []


def test_out_of_reach() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(UnavailableError, match="can't be reached") as problem:
        RemoteClient(url, "t").project()
    assert "running" in str(problem.value.hint)


def test_a_server_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = RemoteClient(f"http://127.0.0.1:{silent.getsockname()[1]}", "t", timeout_s=0.3)
        with pytest.raises(UnavailableError):
            client.project()


def test_an_answer_that_breaks_off() -> None:
    with foreign(200, b'{"projects": [', {"Content-Length": "500"}) as (url, _), pytest.raises(UnavailableError):
        RemoteClient(url, "t").project()


@pytest.mark.parametrize("url", ["ftp://x", "file:///etc/passwd", "nonsense", "http://"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError):
        RemoteClient(url, "t").project()


@pytest.mark.parametrize("token", ["two words", "line\nend", ""])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(CredentialError) as problem:
        RemoteClient("http://127.0.0.1:9", token).project()
    assert token == "" or token not in problem.value.message


def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with foreign(200, b'{"projects": []}') as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(NotFoundError):
            RemoteClient("http://proxy.example", "t").project()
        assert seen[0][1] == "http://proxy.example/accounts/projects"
