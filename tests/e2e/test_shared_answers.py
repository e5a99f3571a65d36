"""Two machines on one PostgreSQL: a follow-up finds its answer at either, in its own room only."""

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from e2e.provider import Behavior, RecordingProvider
from e2e.replicas import Replica, replicas
from fixtures.postgres import Postgres
from meshproxy_cli.store import open_store
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

MASTER_KEY = b"0123456789abcdef0123456789abcdef"
PATIENCE_S = 60.0


@dataclass
class Site:
    """Two machines, and the database that they share."""

    machines: Sequence[Replica]
    postgres: Postgres
    key: ApiKey

    def headers(self, room: str) -> dict[str, str]:
        token = mint(TokenSpec.for_room("ann", room), self.key, now=int(time.time()))
        return {"Authorization": f"Bearer {token}", "Meshagent-Session": "s", "Content-Type": "application/json"}

    def ask(self, machine: int, room: str = "lab", **more: Any) -> tuple[int, Mapping[str, Any]]:
        body = json.dumps({"model": "gpt-5.4", "input": "hello", **more})
        path = f"/rooms/{room}/openai/v1/responses"
        status, content = self.machines[machine].ask("POST", path, self.headers(room), body)
        return status, json.loads(content)

    def follow_up(self, machine: int, ident: str) -> str:
        """Go on from an answer, which may take a moment to become known there; return the id of the new one."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.ask(machine, previous_response_id=ident))[0] != 200:
            assert time.monotonic() < deadline, found
        return str(found[1]["id"])

    def answer(self, machine: int, **more: Any) -> str:
        """Return the id of a new answer."""
        status, content = self.ask(machine, **more)
        assert status == 200
        return str(content["id"])


@pytest.fixture
def site(tmp_path: Path, own_postgres: Postgres, provider: RecordingProvider) -> Iterator[Site]:
    provider.behavior = Behavior()
    url = own_postgres.create_database()
    with replicas(tmp_path, 2, url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as machines:
        store = open_store(url, master_key=MASTER_KEY)
        key = store.keys.create(store.projects.ensure().id, "ann's")
        store.close()
        yield Site(machines, own_postgres, key)


def test_a_follow_up_may_reach_either_machine(site: Site, provider: RecordingProvider) -> None:
    first = site.answer(0)
    second = site.follow_up(1, first)
    site.follow_up(0, second)
    reached = len(provider.requests)

    status, refused = site.ask(1, "other", previous_response_id=first)
    assert status == 404
    assert "in the room 'other'" in refused["error"]["message"]
    assert site.ask(1, previous_response_id="resp_of_nobody")[0] == 404
    reference = [{"type": "item_reference", "id": site.ask(0)[1]["output"][0]["id"]}]
    deadline = time.monotonic() + PATIENCE_S
    while (found := site.ask(1, input=reference))[0] != 200:
        assert time.monotonic() < deadline, found
    assert site.ask(1, "other", input=reference)[0] == 404
    reached += 2
    kept_by_nobody = site.answer(0, store=False)
    assert site.ask(1, previous_response_id=kept_by_nobody)[0] == 404
    assert site.ask(0, previous_response_id=kept_by_nobody)[0] == 200
    assert len(provider.requests) == reached + 2

    url = f"ws://{site.machines[1].address}/rooms/lab/openai/v1/responses"
    fresh = site.answer(0)
    with connect(url, additional_headers=site.headers("lab")) as websocket:
        deadline = time.monotonic() + PATIENCE_S
        while turn(websocket, fresh) != "response.completed":
            assert time.monotonic() < deadline
        assert turn(websocket, "resp_of_nobody") == "error"
        assert turn(websocket, first) == "response.completed"


def turn(websocket: Any, previous: str) -> str:
    """Go on from an answer on a websocket; return the kind of the turn's last event."""
    event = {"type": "response.create", "model": "gpt-5.4", "input": "x", "previous_response_id": previous}
    websocket.send(json.dumps(event))
    while True:
        kind = str(json.loads(websocket.recv(timeout=PATIENCE_S))["type"])
        if kind in {"response.completed", "response.failed", "error"}:
            return kind


def test_while_the_database_is_away_what_is_known_goes_on(site: Site) -> None:
    known, unknown = site.answer(1), site.answer(0)
    site.follow_up(0, known)
    site.postgres.stop()
    site.machines[1].wait("degraded")
    assert site.ask(1, previous_response_id=known)[0] == 200
    assert site.ask(0, previous_response_id=known)[0] == 200, "it was looked up before"
    status, refused = site.ask(1, previous_response_id=unknown)
    assert status == 503
    assert "database is away" in refused["error"]["message"]
    site.postgres.start()
    site.machines[1].wait("ok")
    site.follow_up(1, unknown)
