import getpass
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.vault import MasterKeyError
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.records import GroupBy, Limit, LimitKind, LimitScope, Role, Room, UsageQuery

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'meshproxy.db'}"


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[LocalClient]:
    made = LocalClient(url, "default", "http://127.0.0.1:8765/", os.urandom(32), workers_dir=tmp_path / "workers")
    yield made
    made.close()


def event(event_id: str, project_id: str) -> UsageEvent:
    return UsageEvent(
        event_id=event_id,
        request_id="r",
        started_at=NOON,
        project_id=project_id,
        room="lab",
        session="s",
        participant="ann",
        key_id="k",
        agent="",
        provider="openai",
        endpoint="/v1/responses",
        method="POST",
        streamed=False,
        status=200,
        outcome=Outcome.OK,
    )


def test_the_url_has_no_slash_at_the_end(client: LocalClient) -> None:
    assert client.url == "http://127.0.0.1:8765"


def test_keys_are_made_in_the_one_project(client: LocalClient, url: str) -> None:
    key = client.keys.create(client.project_id, "laptop", "mine")
    assert key.project_id == client.project().id
    assert [record.name for record in client.keys.list(client.project_id)] == ["laptop"]
    client.keys.revoke(client.project_id, key.id)
    assert client.keys.list(client.project_id)[0].revoked_at is not None
    with pytest.raises(NotFoundError):
        client.keys.revoke(client.project_id, "nothing")
    again = LocalClient(url, "default", "http://127.0.0.1", None)
    assert again.project() == client.project()
    again.close()


def test_changes_are_audited_under_the_os_user(client: LocalClient) -> None:
    client.keys.create(client.project_id, "laptop")
    client.rooms.put(Room(name="lab", project_id=client.project().id, created_at=NOON))
    client.rooms.remove(client.project_id, "lab")
    token, _ = client.access_tokens.create("ann", Role.VIEWER)
    client.access_tokens.revoke(token.id)
    assert [token.name for token in client.access_tokens.list()] == ["ann"]
    entries = client.audit.list()
    assert {(entry.actor, entry.origin) for entry in entries} == {(getpass.getuser(), "local")}
    assert len(entries) == 6
    assert len(client.audit.list(limit=2)) == 2


def test_limits(client: LocalClient) -> None:
    limit = Limit(
        project_id=client.project().id,
        scope=LimitScope.ROOM,
        subject="lab",
        kind=LimitKind.USD_PER_DAY,
        amount=Decimal(5),
    )
    client.limits.put(limit)
    assert client.limits.list(client.project_id) == (limit,)
    client.limits.remove(limit)
    assert client.limits.list(client.project_id) == ()


def test_usage_is_that_of_the_project(client: LocalClient, url: str) -> None:
    project = client.project().id
    store = open_store(url)
    store.events.add([event("1", project), event("2", "another project"), event("3", project)])
    store.close()
    assert client.usage.report(UsageQuery(project_id=project, by=(GroupBy.ROOM,))).totals.requests == 2
    assert [
        each.event_id for each in client.events.list(UsageQuery(project_id=project), limit=1, newest_first=True)
    ] == ["3"]
    assert [each.event_id for each in client.events.export(UsageQuery(project_id=project))] == ["1", "3"]
    assert client.usage.report(UsageQuery(project_id="another project", by=())).totals.requests == 1
    assert client.events.prune(NOON + timedelta(hours=1)) == 3
    assert client.usage.report(UsageQuery(project_id=project, by=())).totals.requests == 2


def test_the_master_key_is_asked_for_only_when_needed(url: str) -> None:
    asked: list[str | None] = []

    def load(current: str | None) -> list[bytes]:
        asked.append(current)
        return [b"k" * 32]

    lazy = LocalClient(url, "default", "http://127.0.0.1", None, load_master_keys=load)
    lazy.usage.report(UsageQuery())
    lazy.keys.list(lazy.project_id)
    assert asked == []
    lazy.keys.create(lazy.project_id, "first")
    assert asked == [None]
    lazy.close()
    without = LocalClient(url, "default", "http://127.0.0.1", None)
    with pytest.raises(MasterKeyError):
        without.keys.create(without.project_id, "second")
    without.close()


def test_open_streams_are_those_of_workers_that_live(client: LocalClient, tmp_path: Path) -> None:
    assert client.streams_open() is None
    workers = tmp_path / "workers"
    workers.mkdir()
    fresh = {"streams_open": 3, "written_at": time.time()}
    (workers / "0.json").write_text(json.dumps(fresh))
    (workers / "1.json").write_text(json.dumps(fresh | {"streams_open": 4}))
    (workers / "2.json").write_text(json.dumps(fresh | {"written_at": time.time() - 3600}))
    (workers / "3.json").write_text("half a fi")
    assert client.streams_open() == 7


def test_events_keep_their_price(client: LocalClient, url: str) -> None:
    store = open_store(url)
    store.events.add([replace(event("1", client.project().id), cost_usd=Decimal("0.000000000001"))])
    store.close()
    assert client.usage.report(UsageQuery(by=())).totals.cost_usd == Decimal("0.000000000001")
