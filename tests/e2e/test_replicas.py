"""Three machines behind nginx, under load: one loses its power, one is replaced, the database goes away for a while."""

import base64
import http.client
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from e2e.load import Load
from e2e.provider import Behavior, RecordingProvider
from e2e.replicas import Replica, replicas
from fixtures.nginx import Nginx, running_nginx
from fixtures.postgres import Postgres
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, Project, UsageQuery
from meshproxy_cli.store.store import Store
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

MASTER_KEY = b"0123456789abcdef0123456789abcdef"
CLIENTS = 32
PAUSE_S = 0.2
OUTAGE_S = 20
BUDGET_USD = Decimal(4)
LIMIT_S = 60
STREAM = json.dumps({"model": "gpt-5.4", "input": "ping", "stream": True})
PATH = "/rooms/load/openai/v1/responses"

_log = logging.getLogger(__name__)


def until(condition: Callable[[], bool], what: str) -> float:
    """Wait for a condition; return how long it took, in seconds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < LIMIT_S, what
        time.sleep(0.02)
    return time.monotonic() - began


def new_token(store: Store, project: Project, name: str) -> tuple[str, str]:
    """Make a key; return its id and a token that it signed."""
    key = store.keys.create(project.id, name)
    return key.id, mint(TokenSpec.for_room(name, "load"), key, now=int(time.time()))


def headers_of(token: str, session: str = "one") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Meshagent-Session": session, "Content-Type": "application/json"}


def all_events(store: Store, project: Project) -> list[UsageEvent]:
    return list(store.events.export(UsageQuery(project_id=project.id)))


def seen_everywhere(running: Sequence[Replica], status: Callable[[Replica], int], wanted: int) -> list[float]:
    """Wait until every replica answers with the status; return after how many seconds each did."""
    began = time.monotonic()
    seen: dict[int, float] = {}

    def everywhere() -> bool:
        for replica in running:
            if replica.port not in seen and status(replica) == wanted:
                seen[replica.port] = time.monotonic() - began
        return len(seen) == len(running)

    until(everywhere, f"not every replica got to {wanted}")
    return sorted(seen.values())


def revocation_is_seen_everywhere(store: Store, project: Project, running: Sequence[Replica]) -> list[float]:
    """Revoke a key that all replicas have used; return after how many seconds each refused it."""
    key_id, token = new_token(store, project, "leaver")

    def status(replica: Replica) -> int:
        return replica.ask("GET", "/rooms/load/openai/v1/models", headers_of(token))[0]

    seen_everywhere(running, status, 200)
    store.keys.revoke(project.id, key_id)
    return seen_everywhere(running, status, 401)


def limit_is_seen_everywhere(store: Store, project: Project, running: Sequence[Replica], token: str) -> list[float]:
    """Limit one session to nothing; return after how many seconds each replica refused its requests."""
    headers = headers_of(token, "nothing")

    def status(replica: Replica) -> int:
        return replica.ask("POST", PATH, headers, json.dumps({"model": "gpt-5.4", "input": "ping"}))[0]

    seen_everywhere(running, status, 200)
    kind = LimitKind.REQUESTS_PER_MINUTE
    store.limits.put(
        Limit(project_id=project.id, scope=LimitScope.SESSION, subject="nothing", kind=kind, amount=Decimal(0))
    )
    return seen_everywhere(running, status, 429)


@pytest.mark.timeout(240)
def test_nothing_is_lost(tmp_path: Path, own_postgres: Postgres, provider: RecordingProvider) -> None:
    provider.behavior = Behavior(delay=0.03)
    url = own_postgres.create_database()
    with replicas(tmp_path, 3, url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as running:
        store = open_store(url, master_key=MASTER_KEY)
        project = store.projects.ensure()
        _, token = new_token(store, project, "tester")
        with running_nginx(tmp_path / "nginx", [replica.port for replica in running]) as nginx:
            load = Load(CLIENTS, nginx.port, nginx.tls(), token, pause_s=PAUSE_S)
            load.start()
            try:
                _log.info("a revocation was seen after %s s", revocation_is_seen_everywhere(store, project, running))
                _log.info("a limit was seen after %s s", limit_is_seen_everywhere(store, project, running, token))
                killed, at = running[0], cut_the_power(running[0], load)
                replace(running[1], load)
                take_the_database_away(own_postgres, running, load)
            finally:
                load.stop()
            failed_only_by_the_kill(load, nginx, killed, at)
        for replica in running:
            replica.terminate()
        assert [replica.drained() for replica in running] == [0, 0, 0]
        assert [str(left) for left in tmp_path.glob("machine-*/**/*.spool") if left.stat().st_size] == []
        _log.info("%d answers, %d cut off: %s", len(load.complete), len(load.failures), load.failures)
        every_answer_is_in_the_ledger_once(load, all_events(store, project))
        store.close()


def more_answers(load: Load, number: int = CLIENTS) -> None:
    """Wait until so many more requests are answered."""
    wanted = len(load.complete) + number
    until(lambda: len(load.complete) >= wanted, "requests are not answered any more")


def cut_the_power(replica: Replica, load: Load) -> float:
    """Kill it, and start it again a little later; return when it was dead."""
    more_answers(load)
    replica.kill()
    at = time.monotonic()
    more_answers(load, 3 * CLIENTS)
    replica.start()
    replica.wait()
    return at


def replace(replica: Replica, load: Load) -> None:
    """End it in order, as for an upgrade, and start it again."""
    more_answers(load)
    replica.terminate()
    assert replica.drained() == 0
    more_answers(load)
    replica.start()
    replica.wait()


def take_the_database_away(postgres: Postgres, running: Sequence[Replica], load: Load) -> None:
    more_answers(load)
    postgres.stop()
    try:
        ends = time.monotonic() + OUTAGE_S
        for replica in running:
            replica.wait("degraded")
        while time.monotonic() < ends:
            more_answers(load)
    finally:
        postgres.start()
    for replica in running:
        replica.wait("ok")
    more_answers(load)


def failed_only_by_the_kill(load: Load, nginx: Nginx, killed: Replica, at: float) -> None:
    """Check that every failed request had been sent to the replica that was killed."""
    went = {line.split(" ", 1)[0]: line for line in nginx.log.read_text(encoding="utf-8").splitlines()}
    failures = [(one, went.get(one.test_id, "")) for one in load.failures]
    assert [(one, line) for one, line in failures if one.began > at + 1 or killed.address not in line] == []
    assert len(load.failures) <= CLIENTS, "each client had one request under way at most"


def every_answer_is_in_the_ledger_once(load: Load, events: Sequence[UsageEvent]) -> None:
    of_load = [event for event in events if event.session.startswith("session-")]
    counted = Counter(event.request_id for event in of_load if event.outcome is Outcome.OK)
    assert max(counted.values()) == 1
    complete = set(load.complete)
    assert len(complete) == len(load.complete) > 10 * CLIENTS
    assert complete - set(counted) == set()
    # What was cut off by the kill may have its event all the same: it is written before an answer's last byte leaves.
    assert len(set(counted) - complete) <= len(load.failures)


def test_a_budget_holds_across_replicas(tmp_path: Path, postgres_url: str, provider: RecordingProvider) -> None:
    provider.behavior = Behavior()
    with replicas(tmp_path, 3, postgres_url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as running:
        store = open_store(postgres_url, master_key=MASTER_KEY)
        project = store.projects.ensure()
        _, token = new_token(store, project, "tester")
        store.limits.put(
            Limit(
                project_id=project.id,
                scope=LimitScope.ROOM,
                subject="load",
                kind=LimitKind.USD_PER_MONTH,
                amount=BUDGET_USD,
            )
        )
        with running_nginx(tmp_path / "nginx", [replica.port for replica in running]) as nginx:
            load = Load(CLIENTS, nginx.port, nginx.tls(), token, pause_s=0)
            load.start()
            try:
                until(lambda: len(load.failures) >= 2 * CLIENTS, "the budget was never used up")
            finally:
                load.stop()
        for replica in running:
            replica.terminate()
        assert [replica.drained() for replica in running] == [0, 0, 0]
        spent = sum((event.cost_usd or Decimal(0) for event in all_events(store, project)), Decimal(0))
        store.close()
    assert [
        one
        for one in load.failures
        if not (one.reason.startswith("429") and f"${BUDGET_USD:.2f} a month" in one.reason)
    ] == []
    _log.info("$%s spent of $%s in %d answers", spent, BUDGET_USD, len(load.complete))
    assert BUDGET_USD * Decimal("0.9") <= spent <= BUDGET_USD * Decimal("1.05")


def test_a_rolling_upgrade_ends_no_stream(tmp_path: Path, postgres_url: str, provider: RecordingProvider) -> None:
    provider.behavior = Behavior()
    with replicas(tmp_path, 2, postgres_url, provider, base64.urlsafe_b64encode(MASTER_KEY).decode()) as running:
        store = open_store(postgres_url, master_key=MASTER_KEY)
        _, token = new_token(store, store.projects.ensure(), "tester")
        store.close()
        with running_nginx(tmp_path / "nginx", [replica.port for replica in running]) as nginx:
            leaving = next(one for one in running if one.address == goes_to(nginx, token, "one"))
            kept = http.client.HTTPConnection(leaving.address, timeout=30)
            kept.request("GET", "/readyz")
            assert json.loads(kept.getresponse().read())["status"] == "ok"
            with begun_stream(nginx, provider, token) as stream:
                leaving.terminate()
                until(lambda: not leaving.readiness(), "it went on taking connections")
                assert {ask(nginx, token, f"session-{number}") for number in range(10)} == {200}
                assert ask(nginx, token, "one") == 200
                assert leaving.process is not None
                assert leaving.process.poll() is None
                provider.release.set()
                assert b"response.completed" in stream.read()
            provider.release.clear()
            assert leaving.drained() == 0
            kept.close()


@contextmanager
def begun_stream(nginx: Nginx, provider: RecordingProvider, token: str) -> Iterator[http.client.HTTPResponse]:
    """Begin a stream of the session "one", which the provider then holds back."""
    provider.next(Behavior(stalls_after=3))
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=nginx.tls(), timeout=60)
    try:
        connection.request("POST", PATH, STREAM, headers_of(token))
        answer = connection.getresponse()
        assert answer.readline() == b"event: response.created\n"
        yield answer
    finally:
        connection.close()


def ask(nginx: Nginx, token: str, session: str, test_id: str = "") -> int:
    """Send a small request through nginx; return the status."""
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=nginx.tls(), timeout=60)
    try:
        headers = headers_of(token, session) | {"X-Test-Id": test_id}
        connection.request("POST", PATH, json.dumps({"model": "gpt-5.4", "input": "ping"}), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def goes_to(nginx: Nginx, token: str, session: str) -> str:
    """Return the address of the replica that a session's requests go to."""
    assert ask(nginx, token, session, "whither") == 200

    def found() -> list[str]:
        return [line.split()[1] for line in nginx.log.read_text().splitlines() if line.startswith("whither ")]

    until(lambda: bool(found()), "nginx wrote no log")
    return found()[0]
