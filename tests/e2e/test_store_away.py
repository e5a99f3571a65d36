"""A server whose PostgreSQL goes away: it says so, requests with known keys go on, and their usage arrives once."""

import base64
import http.client
import json
import socket
import time
from pathlib import Path

import pytest

from e2e.provider import Behavior, RecordingProvider
from e2e.replicas import Replica, replicas
from fixtures.postgres import Postgres
from meshproxy_cli.proxy.events.spool import SUFFIX
from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

MASTER_KEY = b"0123456789abcdef0123456789abcdef"
PATIENCE_S = 60.0
BODY = json.dumps({"model": "gpt-5.4", "input": "hello"})


def ask(replica: Replica, key: ApiKey, room: str = "lab") -> int:
    token = mint(TokenSpec.for_room("ann", room), key, now=int(time.time()))
    headers = {"Authorization": f"Bearer {token}", "Meshagent-Session": "s", "Content-Type": "application/json"}
    return replica.ask("POST", f"/rooms/{room}/openai/v1/responses", headers, BODY)[0]


def test_it_goes_on_and_hands_in_everything_once(
    tmp_path: Path, own_postgres: Postgres, provider: RecordingProvider
) -> None:
    provider.behavior = Behavior()
    url = own_postgres.create_database()
    with replicas(tmp_path, 1, url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as (replica,):
        store = open_store(url, master_key=MASTER_KEY)
        project = store.projects.ensure()
        key = store.keys.create(project.id, "known")
        assert ask(replica, key) == 200
        store.close()

        own_postgres.stop()
        replica.wait("degraded")
        status, content = replica.ask("GET", "/readyz")
        assert (status, json.loads(content)["reasons"]) == (200, ["the store is away"])
        assert replica.ask("GET", "/healthz") == (200, b"ok\n")
        # Rooms that nobody has used yet, too: what is known is the key.
        assert [ask(replica, key, f"room-{number % 5}") for number in range(25)] == [200] * 25
        assert ask(replica, ApiKey.generate(project.id)) == 401
        assert waiting(replica) > 0

        own_postgres.start()
        replica.wait("ok")
        store = open_store(url, master_key=MASTER_KEY)
        deadline = time.monotonic() + PATIENCE_S
        while waiting(replica):
            assert time.monotonic() < deadline, "usage stays in the spool"
            time.sleep(0.05)
        events = list(store.events.export(UsageQuery(project_id=project.id)))
        store.close()
        assert len(events) == len({event.event_id for event in events}) == 26
        assert len(provider.requests) == 26


def waiting(replica: Replica) -> int:
    """Return how many bytes of usage are not in the database yet."""
    spool = replica.home.state / "data" / "spool"
    return sum(path.stat().st_size for path in spool.iterdir() if path.is_file() and path.suffix == SUFFIX)


def test_a_server_that_ends_is_not_ready_but_alive(
    tmp_path: Path, postgres_url: str, provider: RecordingProvider
) -> None:
    provider.behavior = Behavior()
    provider.release.clear()
    with replicas(tmp_path, 1, postgres_url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as (replica,):
        store = open_store(postgres_url, master_key=MASTER_KEY)
        key = store.keys.create(store.projects.ensure().id, "known")
        store.close()
        with socket.create_connection(("127.0.0.1", replica.port), timeout=30) as kept:
            kept.sendall(b"GET /readyz HTTP/1.1\r\n")  # a connection with a request under way is not closed
            assert ask(replica, key) == 200
            replica.terminate()
            deadline = time.monotonic() + PATIENCE_S
            while replica.readiness():
                assert time.monotonic() < deadline, "it goes on taking connections"
                time.sleep(0.01)
            kept.sendall(b"Host: localhost\r\n\r\n")
            answer = http.client.HTTPResponse(kept)
            answer.begin()
            assert (answer.status, json.loads(answer.read())["status"]) == (503, "ending")
        assert replica.drained() == 0
